from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from locus_stem.tables.limits import Limits
from locus_stem.tables.measurements import Asked, FieldNameError, LoadCounts, load_measurements
from support.load_counts import numbers

from .conftest import hour

TABLE = "locus_site_data"


def asked(entity, fields, start, end, zone="UTC"):
    return Asked(entity, 70 + entity, zone, tuple(fields), hour(start), hour(end))


def held(bench, *fields, table=TABLE, key="site_id"):
    rows = bench.lake.read(table).to_pylist()
    found = {(row[key], row["ts"]): tuple(row[name] for name in fields) for row in rows}
    assert len(found) == len(rows), "a key stands twice"
    return found


def load(bench, parts, scope, granularity="hourly", table=TABLE, **limits):
    return load_measurements(bench.lake, table, granularity, parts, scope, Limits(**limits))


def test_new_changed_withdrawn_and_unchanged_rows_are_told_apart(bench):
    first = bench.stage((1, at, {"W": float(at), "Wh": 1.0}) for at in range(4))
    assert numbers(load(bench, [first], [asked(1, ["W", "Wh"], 0, 5)])) == (4, 0, 0, 0)
    second = bench.stage([(1, 0, {"W": 0.0, "Wh": 1.0}), (1, 1, {"W": 9.0, "Wh": 1.0}), (1, 4, {"W": 4.0})])
    assert numbers(load(bench, [second], [asked(1, ["W", "Wh"], 0, 5)])) == (1, 1, 1, 2)
    assert held(bench, "W", "Wh") == {
        (1, hour(0)): (0.0, 1.0),
        (1, hour(1)): (9.0, 1.0),
        (1, hour(2)): (None, None),
        (1, hour(3)): (None, None),
        (1, hour(4)): (4.0, None),
    }


def test_the_same_load_again_makes_no_commit_and_keeps_every_file(bench):
    part = bench.stage((entity, at, {"W": 1.0}) for entity in (1, 2) for at in range(-3, 3))
    scope = [asked(entity, ["W"], -3, 3) for entity in (1, 2)]
    load(bench, [part], scope)
    version, files = bench.version(TABLE), set(bench.lake.open(TABLE).file_uris())
    counts = load(bench, [part], scope)
    assert (numbers(counts), counts.versions) == ((0, 0, 12, 0), {})
    assert (bench.version(TABLE), set(bench.lake.open(TABLE).file_uris())) == (version, files)


def test_a_change_in_one_month_rewrites_no_file_of_another(bench):
    load(bench, [bench.stage((1, at, {"W": 1.0}) for at in (-1, 1))], [asked(1, ["W"], -2, 2)])
    before = set(bench.lake.open(TABLE).file_uris())
    load(bench, [bench.stage([(1, 1, {"W": 2.0})])], [asked(1, ["W"], 0, 2)])
    after = set(bench.lake.open(TABLE).file_uris())
    assert {uri for uri in before & after if "month=2024-01-01" in uri}
    assert not {uri for uri in before & after if "month=2024-02-01" in uri}


def test_other_entities_fields_times_and_granularities_are_untouched(bench):
    everything = bench.stage((entity, at, {"W": 1.0, "Wh": 2.0}) for entity in (1, 2) for at in range(4))
    scope = [asked(entity, ["W", "Wh"], 0, 4) for entity in (1, 2)]
    load(bench, [everything], scope)
    load(bench, [everything], scope, granularity="15min")
    empty = bench.stage([])
    assert numbers(load(bench, [empty], [asked(1, ["W"], 1, 3)])) == (0, 0, 0, 2)
    rows = bench.lake.read(TABLE).to_pylist()
    withdrawn = {(row["site_id"], row["ts"], row["granularity"]) for row in rows if row["W"] is None}
    assert withdrawn == {(1, hour(1), "hourly"), (1, hour(2), "hourly")}
    assert all(row["Wh"] == 2.0 for row in rows)


def test_staged_rows_that_were_not_asked_are_ignored(bench):
    part = bench.stage([(1, 0, {"W": 1.0, "Wh": 5.0}), (1, 9, {"W": 1.0}), (2, 0, {"W": 1.0})])
    assert numbers(load(bench, [part], [asked(1, ["W"], 0, 9)])) == (1, 0, 0, 0)
    assert held(bench, "W") == {(1, hour(0)): (1.0,)}
    assert "Wh" not in bench.lake.read(TABLE).column_names


def test_slices_and_field_groups_of_one_entity_are_one_answer(bench):
    part = bench.stage(
        [
            (1, 0, {"W": 1.0}),
            (1, 0, {"Wh": 2.0}),
            (1, 1, {"W": 3.0}),
            (1, 1, {"W": 4.0}),
        ]
    )
    other = bench.stage([(1, 1, {"Wh": 5.0})])
    scope = [asked(1, [name], at, at + 1) for name in ("W", "Wh") for at in range(2)]
    assert numbers(load(bench, [part, other], scope)) == (2, 0, 0, 0)
    assert held(bench, "W", "Wh") == {(1, hour(0)): (1.0, 2.0), (1, hour(1)): (4.0, 5.0)}


def test_entities_with_other_fields_keep_theirs(bench):
    part = bench.stage([(1, 0, {"W": 1.0}), (2, 0, {"Wh": 2.0})])
    scope = [asked(1, ["W"], 0, 1), asked(2, ["Wh"], 0, 1)]
    load(bench, [part], scope)
    more = bench.stage([(1, 0, {"Wh": 7.0}), (2, 0, {"W": 8.0})])
    assert numbers(load(bench, [more], [asked(1, ["Wh"], 0, 1), asked(2, ["W"], 0, 1)])) == (0, 2, 0, 0)
    assert held(bench, "W", "Wh") == {(1, hour(0)): (1.0, 7.0), (2, hour(0)): (8.0, 2.0)}
    assert numbers(load(bench, [part], scope)) == (0, 0, 2, 0)


def test_a_row_without_any_value_is_kept(bench):
    part = bench.stage([(1, 0, {"W": None}), (1, 1, {"W": 0.0})])
    assert numbers(load(bench, [part], [asked(1, ["W"], 0, 2)])) == (2, 0, 0, 0)
    assert held(bench, "W") == {(1, hour(0)): (None,), (1, hour(1)): (0.0,)}


def test_a_number_that_is_none_is_null_and_stays_unchanged(bench):
    part = bench.stage([(1, 0, {"W": float("nan")})])
    load(bench, [part], [asked(1, ["W"], 0, 1)])
    assert held(bench, "W") == {(1, hour(0)): (None,)}
    assert numbers(load(bench, [part], [asked(1, ["W"], 0, 1)])) == (0, 0, 1, 0)


def test_a_row_stands_in_the_month_of_its_local_date(bench):
    part = bench.stage([(1, at, {"W": 1.0}) for at in (-6, 3)], zone="Pacific/Auckland")
    west = bench.stage([(2, at, {"W": 1.0}) for at in (-6, 3)], zone="America/Los_Angeles")
    load(bench, [part, west], [asked(1, ["W"], -12, 12), asked(2, ["W"], -12, 12)])
    rows = bench.lake.read(TABLE, columns=["site_id", "ts", "local_date", "month"]).to_pylist()
    months = {(row["site_id"], row["ts"]): row["month"] for row in rows}
    assert months == {
        (1, hour(-6)): date(2024, 2, 1),
        (1, hour(3)): date(2024, 2, 1),
        (2, hour(-6)): date(2024, 1, 1),
        (2, hour(3)): date(2024, 1, 1),
    }
    assert all(row["month"] == row["local_date"].replace(day=1) for row in rows)


def test_a_row_keeps_its_local_date_when_the_sites_zone_changes(bench):
    load(bench, [bench.stage([(1, 3, {"W": 1.0})], "America/Los_Angeles")], [asked(1, ["W"], 0, 6)])
    moved = bench.stage([(1, 3, {"W": 2.0}), (1, 4, {"W": 3.0})], "UTC")
    assert numbers(load(bench, [moved], [asked(1, ["W"], 0, 6)])) == (1, 1, 0, 0)
    rows = {row["ts"]: row for row in bench.lake.read(TABLE).to_pylist()}
    assert (rows[hour(3)]["W"], rows[hour(3)]["local_date"]) == (2.0, date(2024, 1, 31))
    assert (rows[hour(4)]["W"], rows[hour(4)]["month"]) == (3.0, date(2024, 2, 1))
    assert len(rows) == 2


def test_component_rows_name_their_site(bench):
    part = bench.stage([(5, 0, {"W": 1.0})])
    load(bench, [part], [asked(5, ["W"], 0, 1)], table="locus_component_data")
    row = bench.lake.read("locus_component_data").to_pylist()[0]
    assert (row["component_id"], row["site_id"], row["granularity"]) == (5, 75, "hourly")


@pytest.mark.parametrize(
    "name",
    ["a.b", ".a[0]", "two words", 'q"uote', "q'uote", "b`tick", "100 %", "a,b;c={x}", "ünï²", "source"],
)
def test_field_names_are_free_text(bench, name):
    scope = [asked(1, [name, "W"], 0, 3)]
    load(bench, [bench.stage([(1, at, {name: 1.0, "W": 5.0}) for at in range(2)])], scope)
    again = bench.stage([(1, 0, {name: 2.0, "W": 5.0}), (1, 2, {name: 3.0, "W": 5.0})])
    assert numbers(load(bench, [again], scope)) == (1, 1, 0, 1)
    assert held(bench, name, "W") == {
        (1, hour(0)): (2.0, 5.0),
        (1, hour(1)): (None, None),
        (1, hour(2)): (3.0, 5.0),
    }


@pytest.mark.parametrize("name", ["ts", "Month", "site_id", "granularity", "local_date", "component_id"])
def test_a_field_with_the_name_of_a_key_is_refused(bench, name):
    with pytest.raises(FieldNameError, match=name):
        load(bench, [bench.stage([])], [asked(1, [name], 0, 1)])


def test_fields_that_differ_only_in_case_are_refused_before_anything_is_written(bench):
    load(bench, [bench.stage([(1, 0, {"W_avg": 1.0})])], [asked(1, ["W_avg"], 0, 1)])
    version = bench.version(TABLE)
    with pytest.raises(FieldNameError, match="differs only in case"):
        load(bench, [bench.stage([(1, 0, {"w_avg": 1.0})])], [asked(1, ["w_avg"], 0, 1)])
    assert bench.version(TABLE) == version


def test_a_revision_can_be_read_back_from_the_change_data_feed(bench):
    load(bench, [bench.stage([(1, 0, {"W": 1.0}), (1, 1, {"W": 5.0})])], [asked(1, ["W"], 0, 2)])
    load(bench, [bench.stage([(1, 0, {"W": 2.0}), (1, 1, {"W": 5.0})])], [asked(1, ["W"], 0, 2)])
    feed = pa.table(DeltaTable(bench.lake.table_uri(TABLE)).load_cdf(starting_version=2)).to_pylist()
    assert {(row["_change_type"], row["ts"], row["W"]) for row in feed} == {
        ("update_preimage", hour(0), 1.0),
        ("update_postimage", hour(0), 2.0),
    }


@pytest.mark.parametrize("merge_rows", [1, 1000])
def test_many_changes_end_as_few_do_and_in_one_commit(bench, merge_rows):
    entities = range(1, 8)
    old = bench.stage((entity, at, {"W": 1.0, "Wh": 2.0}) for entity in entities for at in range(6))
    load(bench, [old], [asked(entity, ["W", "Wh"], 0, 6) for entity in entities])
    version = bench.version(TABLE)
    new = bench.stage((entity, at, {"W": float(at)}) for entity in entities[::2] for at in range(1, 9))
    counts = load(
        bench,
        [new],
        [asked(entity, ["W"], 0, 9) for entity in entities[::2]],
        chunk_rows=5,
        merge_rows=merge_rows,
    )
    assert numbers(counts) == (4 * 3, 4 * 4, 4, 4)
    assert bench.version(TABLE) == version + 1
    wanted = {(entity, hour(at)): (1.0, 2.0) for entity in entities for at in range(6)}
    for entity in entities[::2]:
        wanted[entity, hour(0)] = (None, 2.0)
        wanted |= {(entity, hour(at)): (float(at), 2.0 if at < 6 else None) for at in range(1, 9)}
    assert held(bench, "W", "Wh") == wanted


def test_a_month_with_more_rows_than_a_commit_may_have_is_several_commits(bench):
    part = bench.stage((entity, at, {"W": 1.0}) for entity in range(1, 7) for at in range(4))
    scope = [asked(entity, ["W"], 0, 4) for entity in range(1, 7)]
    assert numbers(load(bench, [part], scope, commit_rows=8)) == (24, 0, 0, 0)
    assert bench.version(TABLE) == 3
    assert len(held(bench, "W")) == 24
    assert numbers(load(bench, [part], scope, commit_rows=8)) == (0, 0, 24, 0)


def test_nothing_asked_changes_nothing(bench):
    assert load(bench, [], []) == LoadCounts()
    assert bench.lake.open(TABLE) is None


def test_counts_add_up_with_the_newest_version_of_each_month():
    one = LoadCounts(1, 2, 3, 4, {"2024-01-01": 1})
    assert one + LoadCounts(1, 1, 1, 1, {"2024-01-01": 5, "2024-02-01": 6}) == LoadCounts(
        2, 3, 4, 5, {"2024-01-01": 5, "2024-02-01": 6}
    )


def test_columns_have_the_types_of_the_design(bench):
    load(bench, [bench.stage([(1, 0, {"W": 1.0})])], [asked(1, ["W"], 0, 1)])
    schema = bench.lake.read(TABLE).schema
    assert {field.name: str(field.type) for field in schema} == {
        "site_id": "int64",
        "granularity": "string",
        "ts": "timestamp[us, tz=UTC]",
        "local_date": "date32[day]",
        "month": "date32[day]",
        "W": "double",
    }
    assert bench.lake.open(TABLE).metadata().partition_columns == ["granularity", "month"]


def test_a_reader_can_ask_for_rows_by_filter_and_for_fields_that_are_not_there_yet(bench):
    load(bench, [bench.stage([(1, at, {"W": 1.0}) for at in (-1, 1)])], [asked(1, ["W"], -2, 2)])
    rows = bench.lake.read(TABLE, columns=["ts", "new"], filters=[("month", "=", date(2024, 2, 1))])
    assert rows.to_pylist() == [{"ts": hour(1), "new": None}]
    rows = bench.lake.read(TABLE, columns=["ts"], filters=[("ts", "<", hour(0))])
    assert rows.to_pylist() == [{"ts": hour(-1)}]
