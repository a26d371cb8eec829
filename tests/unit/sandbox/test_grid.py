from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from locus_stem.sandbox.grid import (
    first_minute,
    intervals,
    moment_of,
    other_offset,
    parse_local,
    write,
    zone_info,
)

BERLIN, LOS_ANGELES, KOLKATA = (
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("Asia/Kolkata"),
)


def starts(start, end, zone, granularity):
    return [moment_of(first) for first, _ in intervals(start, end, zone, granularity)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2024, 3, 31), 23),
        (BERLIN, date(2024, 10, 27), 25),
        (LOS_ANGELES, date(2024, 3, 10), 23),
        (LOS_ANGELES, date(2024, 11, 3), 25),
        (KOLKATA, date(2024, 3, 31), 24),
    ],
)
def test_a_local_day_has_the_hours_that_its_clock_shows(zone, day, hours):
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    found = intervals(start, end, zone, "hourly")
    assert len(found) == hours
    assert all(after - first == 60 for first, after in found)
    assert intervals(start, end, zone, "daily") == [(found[0][0], found[-1][1])]


def test_hours_of_a_half_hour_zone_begin_at_its_own_full_hours():
    found = starts(
        datetime(2024, 1, 1, tzinfo=KOLKATA), datetime(2024, 1, 1, 3, tzinfo=KOLKATA), KOLKATA, "hourly"
    )
    assert [moment.minute for moment in found] == [30, 30, 30]


def test_an_interval_that_began_before_the_start_is_not_among_them():
    start, end = datetime(2015, 3, 15, tzinfo=UTC), datetime(2015, 5, 2, tzinfo=UTC)
    assert starts(start, end, ZoneInfo("UTC"), "monthly") == [
        datetime(2015, 4, 1, tzinfo=UTC),
        datetime(2015, 5, 1, tzinfo=UTC),
    ]


def test_an_interval_that_begins_at_the_end_is_not_among_them():
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 2, tzinfo=UTC)
    assert len(starts(start, end, ZoneInfo("UTC"), "15min")) == 8
    assert len(starts(start, end + timedelta(seconds=1), ZoneInfo("UTC"), "15min")) == 9


def test_a_day_whose_midnight_is_skipped_begins_at_the_change():
    zone = ZoneInfo("America/Sao_Paulo")
    assert moment_of(first_minute(date(2018, 11, 4), zone)) == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_a_day_that_a_zone_left_out_has_no_interval():
    zone = ZoneInfo("Pacific/Apia")
    found = intervals(datetime(2011, 12, 28, tzinfo=zone), datetime(2012, 1, 2, tzinfo=zone), zone, "daily")
    assert [moment_of(first).astimezone(zone).day for first, _ in found] == [28, 29, 31, 1]


@pytest.mark.parametrize(
    "text",
    ["2024-01-01", "2024-01-01 00:00:00", "2024-01-01T00:00:00Z", "2024-13-01T00:00:00", "2024-1-1T0:00:00"],
)
def test_a_timestamp_of_another_form_is_not_read(text):
    assert parse_local(text, BERLIN) is None


def test_zone_names_are_taken_only_in_their_own_spelling():
    assert zone_info("America/Los_Angeles") is not None
    assert zone_info("America/Los_angeles") is None
    assert zone_info("../etc/passwd") is None


def test_a_wrong_offset_leaves_the_wall_clock_alone():
    midnight = datetime(2014, 1, 1, tzinfo=LOS_ANGELES)
    assert write(midnight, LOS_ANGELES, "Z") == "2014-01-01T00:00:00-08:00"
    assert other_offset(midnight, LOS_ANGELES) == "2014-01-01T00:00:00-07:00"


@pytest.mark.parametrize("suffix", ["Z", "-00:00", "+00:00"])
def test_an_offset_of_zero_is_written_as_asked(suffix):
    assert write(datetime(2024, 1, 1, tzinfo=UTC), ZoneInfo("UTC"), suffix) == f"2024-01-01T00:00:00{suffix}"
