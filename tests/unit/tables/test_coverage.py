from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from locus_stem.tables.coverage import (
    Fetch,
    last_fetches,
    record_counts,
    record_coverage,
    record_fetch,
    record_fetches,
    record_skips,
)
from locus_stem.tables.measurements import Asked
from locus_stem.tables.skips import Skip
from support.load_counts import numbers

from .conftest import hour

SOURCE = "locus_site_data"


def asked(entity, fields, start, end, zone="UTC"):
    return Asked(entity, entity, zone, tuple(fields), hour(start), hour(end))


def record(bench, parts, scope, granularity="hourly"):
    counts = record_coverage(bench.lake, SOURCE, "site", granularity, parts, scope)
    return numbers(counts)


def held(bench):
    return {
        (row["entity_id"], row["field"], row["local_date"]): (
            row["expected"], row["received"], row["null_count"], row["skipped"],
        )
        for row in bench.lake.read("coverage").to_pylist()
    }  # fmt: skip


def test_values_nulls_and_missing_intervals_are_counted_by_local_date(bench):
    rows = [(1, at, {"W": 1.0, "Wh": None if at % 2 else 2.0}) for at in range(30)]
    assert record(bench, [bench.stage(rows)], [asked(1, ["W", "Wh"], 0, 36)]) == (4, 0, 0, 0)
    assert held(bench) == {
        ("1", "W", date(2024, 2, 1)): (24, 24, 0, None),
        ("1", "Wh", date(2024, 2, 1)): (24, 12, 12, None),
        ("1", "W", date(2024, 2, 2)): (12, 6, 0, None),
        ("1", "Wh", date(2024, 2, 2)): (12, 3, 3, None),
    }


def test_an_entity_without_any_answer_is_missing_everything(bench):
    record(bench, [bench.stage([(1, 0, {"W": 1.0})])], [asked(1, ["W"], 0, 24), asked(2, ["W"], 0, 24)])
    assert held(bench)["2", "W", date(2024, 2, 1)] == (24, 0, 0, None)


def test_days_are_those_of_the_sites_zone(bench):
    part = bench.stage([(1, at, {"W": 1.0}) for at in range(-24, 24)], "America/Los_Angeles")
    record(bench, [part], [asked(1, ["W"], -24, 24, "America/Los_Angeles")])
    assert {day: counts[:2] for (_, _, day), counts in held(bench).items()} == {
        date(2024, 1, 30): (8, 8),
        date(2024, 1, 31): (24, 24),
        date(2024, 2, 1): (16, 16),
    }


def test_a_row_in_two_slices_and_two_parts_is_counted_once(bench):
    part = bench.stage([(1, at, {"W": 1.0}) for at in range(24)])
    scope = [asked(1, ["W"], 0, 12), asked(1, ["W"], 12, 24)]
    record(bench, [part, part], scope)
    assert held(bench) == {("1", "W", date(2024, 2, 1)): (24, 24, 0, None)}


def test_entities_asked_for_other_fields_have_rows_of_their_own_fields_only(bench):
    part = bench.stage([(1, 0, {"W": 1.0, "Wh": 1.0}), (2, 0, {"W": 1.0, "Wh": 1.0})])
    record(bench, [part], [asked(1, ["W"], 0, 24), asked(2, ["Wh"], 0, 24)])
    assert held(bench) == {
        ("1", "W", date(2024, 2, 1)): (24, 1, 0, None),
        ("2", "Wh", date(2024, 2, 1)): (24, 1, 0, None),
    }


def test_recording_again_makes_no_commit_and_a_fuller_answer_replaces_the_counts(bench):
    scope = [asked(1, ["W"], 0, 24)]
    part = bench.stage([(1, at, {"W": 1.0}) for at in range(10)])
    record(bench, [part], scope)
    version = bench.version("coverage")
    assert record(bench, [part], scope) == (0, 0, 1, 0)
    assert bench.version("coverage") == version
    assert record(bench, [bench.stage([(1, at, {"W": 1.0}) for at in range(24)])], scope) == (0, 1, 0, 0)
    assert held(bench) == {("1", "W", date(2024, 2, 1)): (24, 24, 0, None)}


def test_skips_keep_the_counts_that_are_there_and_begin_others_at_zero(bench):
    record(bench, [bench.stage([(1, at, {"W": 1.0}) for at in range(24)])], [asked(1, ["W"], 0, 24)])
    skips = [
        Skip(1, "W", "403", "UTC", hour(0), hour(30)),
        Skip(2, "W", "404", "UTC", hour(0), hour(10)),
        Skip(2, "W", "404", "UTC", hour(10), hour(24)),
    ]
    counts = record_skips(bench.lake, SOURCE, "site", "hourly", skips)
    assert (counts.new, counts.changed) == (2, 1)
    assert held(bench) == {
        ("1", "W", date(2024, 2, 1)): (24, 24, 0, "403"),
        ("1", "W", date(2024, 2, 2)): (6, 0, 0, "403"),
        ("2", "W", date(2024, 2, 1)): (24, 0, 0, "404"),
    }
    version = bench.version("coverage")
    record_skips(bench.lake, SOURCE, "site", "hourly", skips)
    assert bench.version("coverage") == version


def test_counts_and_marks_of_the_same_dates_are_written_at_once_and_again_not_at_all(bench):
    part = bench.stage([(1, at, {"W": 1.0}) for at in range(48)])
    scope = [asked(1, ["W"], 0, 48)]
    skips = [
        Skip(1, "W", "403", "UTC", hour(24), hour(48)),
        Skip(2, "W", "404", "UTC", hour(0), hour(24)),
    ]
    counts = record_coverage(bench.lake, SOURCE, "site", "hourly", [part], scope, skips=skips)
    assert (counts.new, counts.changed) == (3, 0)
    assert held(bench) == {
        ("1", "W", date(2024, 2, 1)): (24, 24, 0, None),
        ("1", "W", date(2024, 2, 2)): (24, 24, 0, "403"),
        ("2", "W", date(2024, 2, 1)): (24, 0, 0, "404"),
    }
    version = bench.version("coverage")
    record_coverage(bench.lake, SOURCE, "site", "hourly", [part], scope, skips=skips)
    assert bench.version("coverage") == version


def test_an_answer_after_a_skip_takes_the_reason_away(bench):
    record_skips(bench.lake, SOURCE, "site", "hourly", [Skip(1, "W", "403", "UTC", hour(0), hour(24))])
    record(bench, [bench.stage([(1, 0, {"W": 1.0})])], [asked(1, ["W"], 0, 24)])
    assert held(bench) == {("1", "W", date(2024, 2, 1)): (24, 1, 0, None)}


def test_fetches_are_remembered_by_their_last_day_refused_ones_too(bench):
    lake = bench.lake
    assert last_fetches(lake, "locus_sites") == {}
    record_fetch(lake, "locus_sites", "partner", "9", date(2024, 1, 1))
    record_fetch(lake, "locus_sites", "partner", "9", date(2024, 1, 3))
    record_fetches(
        lake,
        "locus_install_info",
        [Fetch("site", "1", date(2024, 1, 2)), Fetch("site", "2", date(2024, 1, 2), "403 refused")],
    )
    assert last_fetches(lake, "locus_sites") == {("partner", "9"): Fetch("partner", "9", date(2024, 1, 3))}
    assert last_fetches(lake, "locus_install_info") == {
        ("site", "1"): Fetch("site", "1", date(2024, 1, 2)),
        ("site", "2"): Fetch("site", "2", date(2024, 1, 2), "403 refused"),
    }
    assert held(bench)["2", "", date(2024, 1, 2)] == (1, 0, 0, "403 refused")
    assert held(bench)["1", "", date(2024, 1, 2)] == (1, 1, 0, None)


def test_counts_of_another_api_are_recorded_as_given(bench):
    rows = pa.table({
        "entity_id": ["white_house"], "field": ["MONITOR"], "local_date": [date(2024, 1, 1)],
        "expected": [96.0], "received": [95.0], "null_count": [0.0],
    })  # fmt: skip
    record_counts(bench.lake, "stem_streams", "site", "900", rows)
    assert held(bench) == {("white_house", "MONITOR", date(2024, 1, 1)): (96, 95, 0, None)}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns"])
def test_the_day_on_which_clocks_change_expects_as_many_intervals_as_it_has(bench, zone):
    start, end = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 3, tzinfo=UTC)
    record(bench, [bench.stage([])], [Asked(1, 1, zone, ("W",), start, end)])
    change = date(2024, 3, 31) if zone == "Europe/Berlin" else date(2024, 3, 10)
    short = {day for (_, _, day), counts in held(bench).items() if counts[0] == 23}
    assert change in short


@pytest.mark.parametrize("fields", [3, 101])
def test_a_wide_table_is_recorded_some_fields_at_a_time_and_again_without_a_change(
    bench, monkeypatch, fields
):
    monkeypatch.setattr("locus_stem.tables.coverage.COMMIT_ROWS", 8)
    names = tuple(f"F{number}" for number in range(fields))
    rows = [(entity, at, dict.fromkeys(names, 1.0)) for entity in (1, 2) for at in (0, 24)]
    part = bench.stage(rows)
    asked = [Asked(entity, entity, "UTC", names, hour(0), hour(48)) for entity in (1, 2)]
    record = (bench.lake, "locus_site_data", "site", "hourly", [part], asked)
    assert record_coverage(*record).new == fields * 4
    before = bench.version("coverage")
    assert before > 0
    assert record_coverage(*record).unchanged == fields * 4
    assert bench.version("coverage") == before
    assert {row["received"] for row in bench.lake.read("coverage").to_pylist()} == {1.0}
