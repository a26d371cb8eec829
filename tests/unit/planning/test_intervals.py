from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.intervals import closed_end, expected_by_date, interval_end, local_date, starts
from locus_stem.planning.zones import first_instant

STEPS = {"1min": 1, "5min": 5, "15min": 15, "hourly": 60}
GRANULARITIES = [*STEPS, "daily", "monthly", "yearly"]
ZONES = [
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "America/Havana",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Antarctica/Casey",
]
CHANGES = [
    date(2011, 12, 30),
    date(1993, 8, 21),
    date(2018, 11, 4),
    date(2018, 2, 18),
    date(2024, 3, 31),
    date(2024, 10, 27),
    date(2024, 11, 3),
    date(2010, 11, 7),
    date(2010, 3, 14),
    date(2024, 4, 7),
    date(2024, 10, 6),
    date(2020, 10, 4),
]
near_changes = st.builds(
    lambda day, off: day + timedelta(days=off), st.sampled_from(CHANGES), st.integers(-3, 3)
)
days = st.dates(date(1970, 2, 1), date(2099, 1, 1)) | near_changes


def brute_starts(start: datetime, end: datetime, zone: str, granularity: str) -> list[datetime]:
    """Every minute of the range that is the start of an interval, by looking at each one."""
    tz, found = ZoneInfo(zone), []
    at = start
    shown = max((start - timedelta(minutes=back)).astimezone(tz).date() for back in range(1, 181))
    while at < end:
        wall = at.astimezone(tz).date()
        if granularity in STEPS:
            if int(at.timestamp()) % (60 * STEPS[granularity]) == 0:
                found.append(at)
        elif wall > shown:  # the first moment at which this date is shown
            first = {"daily": True, "monthly": wall.day == 1, "yearly": (wall.month, wall.day) == (1, 1)}
            if first[granularity]:
                found.append(at)
        shown = max(shown, wall)
        at += timedelta(minutes=1)
    return found


@given(days, st.integers(0, 4), st.sampled_from(ZONES), st.sampled_from(GRANULARITIES))
def test_starts_are_those_found_by_looking_at_every_minute(
    day: date, count: int, zone: str, gran: str
) -> None:
    start, end = first_instant(day, zone), first_instant(day + timedelta(days=count), zone)
    assert list(starts(start, end, zone, gran)) == brute_starts(start, end, zone, gran)


@given(
    days,
    st.integers(0, 40),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.sampled_from(ZONES),
    st.sampled_from(GRANULARITIES),
)
def test_expected_by_date_counts_every_start_under_its_wall_date(
    day: date, count: int, after: int, before: int, zone: str, gran: str
) -> None:
    start = first_instant(day, zone) + timedelta(minutes=after)
    end = first_instant(day + timedelta(days=count), zone) - timedelta(minutes=before)
    brute = Counter(local_date(at, zone) for at in starts(start, end, zone, gran))
    assert expected_by_date(start, end, zone, gran) == dict(brute)


@pytest.mark.parametrize(
    ("day", "zone", "gran", "count"),
    [
        (date(2024, 3, 31), "Europe/Berlin", "15min", 92),
        (date(2024, 10, 27), "Europe/Berlin", "15min", 100),
        (date(2024, 10, 27), "Europe/Berlin", "hourly", 25),
        (date(2024, 6, 1), "Europe/Berlin", "1min", 1440),
        (date(2024, 6, 1), "Europe/Berlin", "5min", 288),
        (date(2024, 6, 1), "Asia/Kathmandu", "hourly", 24),
        (date(2018, 11, 4), "America/Sao_Paulo", "hourly", 23),
        (date(2024, 10, 6), "Australia/Lord_Howe", "15min", 94),
        (date(2024, 10, 27), "Europe/Berlin", "daily", 1),
    ],
)
def test_a_day_has_as_many_intervals_as_its_clock_allows(day: date, zone: str, gran: str, count: int) -> None:
    end = first_instant(day + timedelta(days=1), zone)
    assert expected_by_date(first_instant(day, zone), end, zone, gran) == {day: count}


def test_where_the_old_date_is_shown_again_after_midnight_its_intervals_count_for_it() -> None:
    day, zone = date(2010, 11, 7), "America/St_Johns"  # 00:01 became 23:01: 23:15, 23:30 and 23:45 came again
    end = first_instant(day + timedelta(days=1), zone)
    assert expected_by_date(first_instant(day, zone), end, zone, "15min") == {
        day - timedelta(days=1): 3,
        day: 97,
    }
    shown_again = datetime(2010, 11, 7, 2, 45, tzinfo=UTC)
    assert expected_by_date(shown_again, end, zone, "15min") == {day - timedelta(days=1): 3, day: 96}


def test_a_skipped_day_has_no_intervals() -> None:
    start, end = (
        first_instant(date(2011, 12, 29), "Pacific/Apia"),
        first_instant(date(2012, 1, 1), "Pacific/Apia"),
    )
    for gran, count in (("hourly", 24), ("daily", 1)):
        expected = {date(2011, 12, 29): count, date(2011, 12, 31): count}
        assert expected_by_date(start, end, "Pacific/Apia", gran) == expected


@given(days, st.integers(0, 5000), st.sampled_from(ZONES), st.sampled_from(GRANULARITIES))
def test_an_interval_ends_where_the_next_one_starts(day: date, minutes: int, zone: str, gran: str) -> None:
    begin = first_instant(day, zone) + timedelta(minutes=minutes)
    two = []
    for at in starts(begin, begin + timedelta(days=800), zone, gran):
        two.append(at)
        if len(two) == 2:
            break
    first, second = two
    assert interval_end(first, zone, gran) == second


@given(
    days,
    st.integers(1, 70),
    st.timedeltas(timedelta(days=-3), timedelta(days=80)),
    st.sampled_from(ZONES),
    st.sampled_from(["5min", "hourly", "daily", "monthly", "yearly"]),
)
def test_closed_end_keeps_every_closed_interval_and_no_open_one(
    day: date, count: int, past: timedelta, zone: str, gran: str
) -> None:
    start, end = first_instant(day, zone), first_instant(day + timedelta(days=count), zone)
    now = start + past
    cut = closed_end(end, zone, gran, now)
    assert cut <= end
    for at in starts(start, end, zone, gran):
        assert (at < cut) == (interval_end(at, zone, gran) <= now)


def test_a_year_of_minutes_is_counted_within_50_milliseconds() -> None:
    start, end = datetime(2023, 1, 1, 5, tzinfo=UTC), datetime(2024, 1, 1, 5, tzinfo=UTC)
    best = 1.0
    for _ in range(5):
        first_instant.cache_clear()
        begun = time.process_time()
        counts = expected_by_date(start, end, "America/New_York", "1min")
        best = min(best, time.process_time() - begun)
    assert sum(counts.values()) == 365 * 1440
    assert best < 0.05
