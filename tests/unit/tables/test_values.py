from __future__ import annotations

import logging
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from locus_stem.tables.schemas import CHANGE_DATA, INSTANT, SPECS, snake_case
from locus_stem.tables.values import MOST_COLUMNS, column_type, converted, table_of

INT, NUMBER, TEXT, FLAG, DAY = pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("localeCode1", "locale_code1"),
        ("tmy3Id", "tmy3_id"),
        ("nodeId", "node_id"),
        ("isConceptualNode", "is_conceptual_node"),
        ("diodesAndConnections", "diodes_and_connections"),
        ("name", "name"),
    ],
)
def test_object_fields_get_an_underscore_before_each_capital(name, column):
    assert snake_case(name) == column


@pytest.mark.parametrize(
    ("value", "kind", "stored"),
    [
        ("5", INT, 5),
        (5.0, INT, 5),
        (2**53 + 1, INT, 2**53 + 1),
        (7, TEXT, "7"),
        (True, TEXT, "true"),
        (1.5, TEXT, "1.5"),
        ({"a": [1, "ü"]}, TEXT, '{"a": [1, "ü"]}'),
        ("half \ud800", TEXT, "half ?"),
        ("1.5", NUMBER, 1.5),
        (3, NUMBER, 3.0),
        ("true", FLAG, True),
        (0, FLAG, False),
        ("2014-05-08", DAY, date(2014, 5, 8)),
        ("2015-11-01T12:00:00-07:00", INSTANT, datetime(2015, 11, 1, 19, tzinfo=UTC)),
        (["hourly", 5, None], pa.list_(TEXT), ["hourly", "5", None]),
        (None, INT, None),
    ],
)
def test_a_value_is_converted_where_nothing_is_lost(value, kind, stored):
    assert converted(value, kind) == stored


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("5.5", INT),
        (5.5, INT),
        (2**63, INT),
        (float("inf"), INT),
        (float("nan"), INT),
        (True, INT),
        ([1], INT),
        ("many", NUMBER),
        ("nan", NUMBER),
        (2**53 + 1, NUMBER),
        (10**400, NUMBER),
        (True, NUMBER),
        ("yes", FLAG),
        (2, FLAG),
        ([], FLAG),
        ("2014-13-01", DAY),
        (20140508, DAY),
        ("2015-11-01T12:00:00", INSTANT),
        ("hourly", pa.list_(TEXT)),
    ],
)
def test_a_value_that_would_lose_something_is_null_and_said_in_the_log(value, kind, caplog):
    spec = SPECS["locus_sites"]
    stored = pa.schema([("odd", kind)])
    with caplog.at_level(logging.WARNING):
        table = table_of(spec, [{"site_id": 1, "odd": value}, {"site_id": 2}], stored)
    assert table.column("odd").to_pylist() == [None, None]
    assert "locus_sites.odd: 1 values" in caplog.text


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("flag", [True, None], FLAG),
        ("number", [1, 2.5], NUMBER),
        ("owner_id", [1, 2], INT),
        ("owner_id", [1, 2.5], NUMBER),
        ("owner_id", ["a", 1], TEXT),
        ("text", ["a", None], TEXT),
        ("mixed", [True, 1], TEXT),
        ("nested", [{"a": 1}], TEXT),
        ("empty", [None], None),
    ],
)
def test_an_unknown_column_is_typed_by_its_values(name, values, kind):
    assert column_type(name, values) == kind


def test_known_columns_are_typed_although_all_values_are_null():
    table = table_of(SPECS["locus_install_info"], [{"site_id": 1}], SPECS["locus_install_info"].schema())
    assert table.schema.field("install_date").type == DAY
    assert table.schema == SPECS["locus_install_info"].schema()


def test_a_field_that_is_left_out_is_counted_once(caplog):
    names = ["Not A Name", *(f"column_{number}" for number in range(MOST_COLUMNS + 2)), "Nor This"]
    with caplog.at_level(logging.WARNING):
        table = table_of(SPECS["locus_sites"], [dict.fromkeys(["site_id", *names], 1)], pa.schema([]))
    assert table.num_columns == len(SPECS["locus_sites"].columns) + MOST_COLUMNS
    assert "4 field(s) can't be columns and are left out, the first of them Not A Name" in caplog.text


@pytest.mark.parametrize("answered", ["ChangeType", "_change_type", "CommitVersion", "CommitTimestamp"])
def test_a_field_by_the_name_of_a_column_of_change_data_is_left_out(answered):
    column = snake_case(answered)
    assert column in CHANGE_DATA
    table = table_of(SPECS["locus_alerts"], [{"alert_id": 1, column: "x", f"{column}s": "y"}], pa.schema([]))
    assert column not in table.column_names
    assert f"{column}s" in table.column_names


def test_every_table_of_the_design_is_described_with_its_key_first():
    assert set(SPECS) == {
        "locus_clients", "locus_sites", "locus_components", "locus_install_info", "locus_model_settings",
        "locus_data_available", "locus_site_data", "locus_component_data", "locus_bulk_monthly",
        "locus_alerts", "locus_alert_history", "stem_clients", "stem_sites", "stem_streams", "coverage",
        "runs", "_alert_deliveries", "_alert_rewrites", "_loads",
    }  # fmt: skip
    for spec in SPECS.values():
        assert set(spec.key) <= set(spec.columns)
        assert set(spec.partitions) <= set(spec.columns)
        allowed = {INT, NUMBER, TEXT, FLAG, DAY, INSTANT, pa.list_(TEXT)}
        assert set(spec.columns.values()) <= allowed
