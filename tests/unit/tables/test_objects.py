from __future__ import annotations

import logging
import re
from datetime import date

import pyarrow as pa
import pytest

from locus_stem.api.errors import MalformedAnswerError
from locus_stem.tables.objects import load_data_available, load_objects
from support.load_counts import numbers

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
SITE = {
    "statusCode": 200, "id": 123, "clientId": 456, "name": "Test Site", "localeCode1": "CA",
    "locationTimezone": "America/Los_Angeles",
}  # fmt: skip
BASE_FIELD = {
    "baseField": "W", "longName": "AC Power", "source": "Measured", "unit": "W",
    "aggregations": [
        {"shortName": "W_avg", "aggregation": "avg"}, {"shortName": "W_max", "aggregation": "max"},
    ],
    "granularities": ["5min", "hourly"], "fieldParameters": [{"param": "modelType", "values": ["simple"]}],
}  # fmt: skip


def sites(bench, *objects, complete=True, today=MONDAY):
    counts = load_objects(bench.lake, "locus_sites", objects, complete=complete, today=today)
    return numbers(counts)


def held(bench, table, *columns):
    return {tuple(row.values()) for row in bench.lake.read(table, columns=columns).to_pylist()}


def test_objects_become_rows_and_the_same_listing_again_makes_no_commit(bench):
    assert sites(bench, SITE) == (1, 0, 0, 0)
    version = bench.version("locus_sites")
    assert sites(bench, SITE) == (0, 0, 1, 0)
    assert bench.version("locus_sites") == version
    row = bench.lake.read("locus_sites").to_pylist()[0]
    assert {name: value for name, value in row.items() if value is not None} == {
        "site_id": 123, "client_id": 456, "name": "Test Site", "locale_code1": "CA",
        "location_timezone": "America/Los_Angeles",
    }  # fmt: skip


def test_what_a_complete_listing_lacks_is_removed_once_and_comes_back(bench):
    sites(bench, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    assert sites(bench, {"id": 1, "name": "a"}, today=MONDAY) == (0, 0, 1, 1)
    assert sites(bench, {"id": 1, "name": "a"}, today=TUESDAY) == (0, 0, 1, 0)
    assert held(bench, "locus_sites", "site_id", "name", "removed_on") == {(1, "a", None), (2, "b", MONDAY)}
    assert sites(bench, {"id": 1, "name": "a"}, {"id": 2, "name": "b"}) == (0, 1, 1, 0)
    assert held(bench, "locus_sites", "site_id", "removed_on") == {(1, None), (2, None)}


def test_an_empty_complete_listing_removes_all_and_a_partial_one_none(bench):
    sites(bench, {"id": 1}, {"id": 2})
    assert sites(bench, {"id": 3}, complete=False) == (1, 0, 0, 0)
    assert held(bench, "locus_sites", "site_id", "removed_on") == {(1, None), (2, None), (3, None)}
    assert sites(bench) == (0, 0, 0, 3)
    assert held(bench, "locus_sites", "site_id", "removed_on") == {(1, MONDAY), (2, MONDAY), (3, MONDAY)}


def test_an_id_that_is_listed_twice_is_the_last_one_with_a_warning(bench, caplog):
    with caplog.at_level(logging.WARNING):
        assert sites(bench, {"id": 1, "name": "a"}, {"id": 1, "name": "b"}) == (1, 0, 0, 0)
    assert held(bench, "locus_sites", "site_id", "name") == {(1, "b")}
    assert "answered twice" in caplog.text


def test_of_objects_with_one_id_only_one_that_is_another_s_keeps_that_one_from_being_removed(bench, caplog):
    a, b, c, d = ({"id": number, "name": name} for number, name in enumerate("abcd", 1))
    sites(bench, a, b, c, d)
    assert sites(bench, {**a, "name": "as it was"}, a, b, {**c, "id": 2}) == (0, 1, 1, 1)
    assert held(bench, "locus_sites", "site_id", "removed_on") == {
        (1, None),
        (2, None),
        (3, None),
        (4, MONDAY),
    }
    assert "1 that this listing lacks don't count as removed by it, the first of them is 3" in caplog.text


@pytest.mark.parametrize("broken", [{"name": "no id"}, {"id": None}, {"id": "x1"}])
def test_an_object_without_an_id_is_left_out_with_a_warning(bench, broken, caplog):
    with caplog.at_level(logging.WARNING):
        assert sites(bench, broken, {"id": 2}) == (1, 0, 0, 0)
    assert "left out" in caplog.text


def test_a_listing_with_an_object_without_an_id_removes_none(bench, caplog):
    sites(bench, {"id": 1}, {"id": 2})
    assert sites(bench, {"id": 1}, {"id": None}) == (0, 0, 1, 0)
    assert "1 that this listing lacks don't count as removed" in caplog.text
    assert sites(bench, {"id": 1}, {"id": 1}) == (0, 0, 1, 1)  # pages may overlap


def test_a_listing_of_which_no_object_has_an_id_is_an_error(bench):
    sites(bench, {"id": 1})
    with pytest.raises(MalformedAnswerError, match=r"none of the 2 object\(s\) .* has a usable site_id"):
        sites(bench, {"id": None}, {"name": "a"})
    assert held(bench, "locus_sites", "site_id", "removed_on") == {(1, None)}


def test_fields_that_the_api_adds_become_columns(bench):
    sites(bench, {"id": 1, "name": "a"})
    assert sites(bench, {"id": 1, "name": "a", "roofAngle": 30, "tags": ["x"], "ownerId": 7}) == (0, 1, 0, 0)
    schema = bench.lake.read("locus_sites").schema
    assert [schema.field(name).type for name in ("roof_angle", "tags", "owner_id")] == [
        pa.float64(), pa.string(), pa.int64(),
    ]  # fmt: skip
    assert held(bench, "locus_sites", "roof_angle", "tags", "owner_id") == {(30.0, '["x"]', 7)}


def test_a_field_that_an_object_no_longer_has_is_null(bench):
    sites(bench, {"id": 1, "name": "a", "address2": "b"})
    assert sites(bench, {"id": 1, "name": "a"}) == (0, 1, 0, 0)
    assert held(bench, "locus_sites", "name", "address2") == {("a", None)}


def test_details_are_keyed_by_their_site_and_keep_other_sites(bench):
    for site, day in ((1, "2014-05-08"), (2, "not a day")):
        details = [{"siteId": site, "statusCode": 200, "installer": "ABC", "installDate": day}]
        load_objects(bench.lake, "locus_install_info", details, complete=False, today=MONDAY)
    found = held(bench, "locus_install_info", "site_id", "installer", "install_date")
    assert found == {(1, "ABC", date(2014, 5, 8)), (2, "ABC", None)}
    settings = [{"site_id": 1, "size": 1023.4, "mismatch": 98, "tmy3Id": 724095}]
    load_objects(bench.lake, "locus_model_settings", settings, complete=False, today=MONDAY)
    assert held(bench, "locus_model_settings", "site_id", "size", "mismatch", "tmy3_id") == {
        (1, 1023.4, 98.0, 724095)
    }


def available(bench, answers):
    counts = load_data_available(bench.lake, answers)
    return numbers(counts)


def test_available_fields_are_one_row_an_aggregation(bench):
    bare = {"baseField": "PI_m", "longName": "Performance Index", "source": "Modeled", "unit": ""}
    assert available(bench, {("site", 1): [BASE_FIELD, bare]}) == (2, 0, 0, 0)
    rows = {row["short_name"]: row for row in bench.lake.read("locus_data_available").to_pylist()}
    assert rows["W_max"] == {
        "entity_type": "site", "entity_id": 1, "short_name": "W_max", "base_field": "W",
        "long_name": "AC Power",
        "source": "Measured", "unit": "W", "aggregation": "max", "granularities": ["5min", "hourly"],
        "field_parameters": '[{"param": "modelType", "values": ["simple"]}]',
    }  # fmt: skip


def test_an_entity_s_available_fields_are_replaced_and_others_stay(bench):
    one = {("site", 1): [BASE_FIELD], ("component", 1): [BASE_FIELD], ("site", 2): [BASE_FIELD]}
    available(bench, one)
    version = bench.version("locus_data_available")
    assert available(bench, one) == (0, 0, 6, 0)
    assert bench.version("locus_data_available") == version
    less = {**BASE_FIELD, "aggregations": BASE_FIELD["aggregations"][:1], "granularities": ["hourly"]}
    assert available(bench, {("site", 1): [less]}) == (0, 1, 0, 1)
    assert available(bench, {("site", 2): []}) == (0, 0, 0, 2)
    assert held(bench, "locus_data_available", "entity_type", "entity_id", "short_name") == {
        ("site", 1, "W_avg"), ("component", 1, "W_avg"), ("component", 1, "W_max"),
    }  # fmt: skip
    assert available(bench, {}) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "aggregations",
    [
        [{"aggregation": "avg"}],
        [{"shortName": None}],
        [{"shortName": "W avg"}],
        [{"shortName": ["W_avg"]}],
        ["W_avg"],
        [None],
        "W_avg",
        {},
    ],
    ids=str,
)
def test_a_field_whose_name_cannot_be_read_takes_none_away(bench, caplog, aggregations):
    known = {("site", 1): [BASE_FIELD], ("site", 2): [BASE_FIELD]}
    available(bench, known)
    spoiled = {**BASE_FIELD, "aggregations": aggregations}
    assert available(bench, {("site", 1): [spoiled], ("site", 2): []}) == (0, 0, 0, 2)
    assert "is no short name" in caplog.text
    assert held(bench, "locus_data_available", "entity_id", "short_name") == {(1, "W_avg"), (1, "W_max")}


def test_fields_without_parameters_have_none(bench):
    plain = {name: value for name, value in BASE_FIELD.items() if name != "fieldParameters"}
    available(bench, {("site", 1): [plain]})
    assert held(bench, "locus_data_available", "field_parameters") == {(None,)}


def test_keys_and_values_that_climb_or_are_templates_stay_within_the_tables_folder(bench, tmp_path):
    keys = ["../../x", "/etc/x", "a/b", "..", "{{ conn.locus_default.password }}", "%2e%2e%2fy", "a\\b"]
    assert sites(bench, {"id": 1, **dict.fromkeys([*keys, "note"], "../../{{ 7 * 7 }}")}) == (1, 0, 0, 0)
    row = bench.lake.read("locus_sites").to_pylist()[0]
    assert {name for name, value in row.items() if value == "../../{{ 7 * 7 }}"} == {"note"}
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(found) >= 2
    assert not [name for name in found if not re.search(r"(^|/)(locus_sites|_staging)/", name)]
    assert not [name for name in found if "49" in name and "{{" in name]
