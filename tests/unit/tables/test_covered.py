from __future__ import annotations

from datetime import date

from locus_stem.tables.coverage import record_coverage, record_fetch, record_skips
from locus_stem.tables.covered import last_days, short_dates
from locus_stem.tables.measurements import Asked
from locus_stem.tables.skips import Skip

from .conftest import hour

SOURCE = "locus_site_data"


def asked(entity, fields, start, end):
    return Asked(entity, entity, "UTC", tuple(fields), hour(start), hour(end))


def record(bench, parts, scope, granularity="hourly"):
    record_coverage(bench.lake, SOURCE, "site", granularity, parts, scope)


def test_the_last_days_are_of_one_table_and_granularity_and_leave_skips_out(bench):
    assert last_days(bench.lake, SOURCE, "hourly") == {}
    part = bench.stage([(1, 0, {"W": 1.0})])
    record(bench, [part], [asked(1, ["W"], 0, 36)])
    record(bench, [part], [asked(1, ["W"], 0, 96)], granularity="15min")
    record_skips(bench.lake, SOURCE, "site", "hourly", [Skip(1, "W", "403", "UTC", hour(48), hour(72))])
    record_fetch(bench.lake, SOURCE, "partner", "1", date(2025, 1, 1))
    assert last_days(bench.lake, SOURCE, "hourly") == {"1": {"W": date(2024, 2, 2)}}
    assert last_days(bench.lake, SOURCE, "15min") == {"1": {"W": date(2024, 2, 4)}}
    assert last_days(bench.lake, "locus_component_data", "hourly") == {}


def test_the_last_days_stop_before_a_hole(bench):
    part = bench.stage([(1, 0, {"W": 1.0})])
    record(bench, [part], [asked(1, ["W"], 0, 48)])
    record(bench, [part], [asked(1, ["W"], 96, 120)])
    assert last_days(bench.lake, SOURCE, "hourly") == {"1": {"W": date(2024, 2, 5)}}
    assert last_days(bench.lake, SOURCE, "hourly", date(2024, 1, 1)) == {"1": {"W": date(2024, 2, 2)}}
    assert last_days(bench.lake, SOURCE, "hourly", date(2024, 2, 4)) == {"1": {"W": date(2024, 2, 3)}}
    assert last_days(bench.lake, SOURCE, "hourly", date(2024, 2, 5)) == {"1": {"W": date(2024, 2, 5)}}


def test_dates_of_which_a_part_was_asked_are_short_skipped_ones_and_those_before_are_not(bench):
    part = bench.stage([(1, 0, {"W": 1.0})])
    record(bench, [part], [asked(1, ["W", "Wh"], 0, 12)])
    record(bench, [part], [asked(1, ["W"], 24, 60)])
    record(bench, [part], [asked(2, ["W"], 24, 48)])
    record_skips(bench.lake, SOURCE, "site", "hourly", [Skip(2, "W", "403", "UTC", hour(48), hour(60))])
    first, third = date(2024, 2, 1), date(2024, 2, 3)
    assert short_dates(bench.lake, SOURCE, "hourly", first, 24) == {
        ("1", "W"): {first: 12, third: 12},
        ("1", "Wh"): {first: 12},
    }
    assert short_dates(bench.lake, SOURCE, "hourly", third, 24) == {("1", "W"): {third: 12}}
    assert short_dates(bench.lake, SOURCE, "15min", first, 96) == {}
