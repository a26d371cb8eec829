from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.slices import Slice, slices

LIMIT_DAYS = {"1min": 5, "5min": 31, "15min": 31, "hourly": 31, "daily": 365, "monthly": None, "yearly": None}
STEP_MINUTES = {"1min": 1, "5min": 5, "15min": 15, "hourly": 60}
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
    "Africa/Casablanca",
    "Asia/Pyongyang",
    "Australia/Adelaide",
    "America/Caracas",
]
LATER = datetime(2200, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

days = st.dates(date(1990, 1, 1), date(2060, 1, 1)) | st.dates(date(2007, 1, 1), date(2025, 1, 1))
lengths = st.integers(0, 70) | st.integers(0, 1200)


def midnights(start: date, end: date, zone: str) -> list[datetime]:
    """First instants of the days that a zone has in [start, end), and of the end."""
    found: list[datetime] = []
    for offset in range((end - start).days + 1):
        day = start + timedelta(days=offset)
        at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if not found or at > found[-1]:
            found.append(at)
    return found


def closed_starts(start: date, end: date, zone: str, gran: str, now: datetime) -> list[datetime]:
    """Starts of the intervals of [start, end) that are over by now."""
    bounds = midnights(start, end, zone)
    if gran in STEP_MINUTES:
        step = 60 * STEP_MINUTES[gran]
        first, last = -(-int(bounds[0].timestamp()) // step), -(-int(bounds[-1].timestamp()) // step)
        last = min(last, int(now.timestamp()) // step)
        return [datetime.fromtimestamp(position * step, UTC) for position in range(first, last)]
    tz, found = ZoneInfo(zone), []
    for at in bounds[:-1]:
        day = at.astimezone(tz).date()
        if gran == "monthly" and day.day != 1:
            continue
        if gran == "yearly" and (day.month, day.day) != (1, 1):
            continue
        after = {"daily": 1, "monthly": 31, "yearly": 366}[gran]
        until = day + timedelta(days=after)
        until = {"daily": until, "monthly": until.replace(day=1), "yearly": until.replace(day=1, month=1)}[
            gran
        ]
        if midnights(until, until, zone)[0] <= now:
            found.append(at)
    return found


def fewest(starts: list[datetime], zone: str, gran: str) -> int:
    """How many requests the limit forces, found without the planner."""
    limit = LIMIT_DAYS[gran]
    if not starts or limit is None:
        return min(len(starts), 1)
    if gran in STEP_MINUTES:  # the first and the last start of a request lie less than the limit apart
        each = limit * 1440 // STEP_MINUTES[gran]
        return -(-len(starts) // each)
    tz, count, at = ZoneInfo(zone), 0, 0
    while at < len(starts):
        begin, reach = starts[at], at + 1
        while reach < len(starts):  # the same by the wall clock and in absolute time
            wall = starts[reach].astimezone(tz).replace(tzinfo=None) - begin.astimezone(tz).replace(
                tzinfo=None
            )
            if max(wall, starts[reach] - begin) >= timedelta(days=limit):
                break
            reach += 1
        count, at = count + 1, reach
    return count


def asked(piece: Slice) -> tuple[datetime, datetime]:
    tz = ZoneInfo(piece.tz)
    start, end = (
        datetime.fromisoformat(text).replace(tzinfo=tz) for text in (piece.query_start, piece.query_end)
    )
    return start.astimezone(UTC), end.astimezone(UTC)


@given(
    days,
    lengths,
    st.sampled_from(ZONES),
    st.sampled_from(sorted(LIMIT_DAYS)),
    st.integers(-100, 40_000) | st.none(),
)
def test_slices_cover_every_closed_interval_once_within_every_limit_and_are_the_fewest(
    day: date, length: int, zone: str, gran: str, closed_hours: int | None
) -> None:
    if gran == "1min":
        length %= 41
    end = day + timedelta(days=length)
    opening = midnights(day, day, zone)[0]
    now = LATER if closed_hours is None else opening + timedelta(hours=closed_hours, minutes=7)
    cut = slices(day, end, zone, gran, now)
    starts = closed_starts(day, end, zone, gran, now)

    assert len(cut) == fewest(starts, zone, gran)
    assert all(piece.start < piece.end <= now for piece in cut)
    assert all(one.end == two.start for one, two in pairwise(cut))
    kept = [[at for at in starts if piece.start <= at < piece.end] for piece in cut]
    assert [at for part in kept for at in part] == starts
    if cut:
        assert opening <= cut[0].start
        closing = midnights(end, end, zone)[0]  # the interval in which the last day ends is whole
        assert cut[-1].end < closing + timedelta(minutes=STEP_MINUTES.get(gran, 0), seconds=1)
    for piece, part in zip(cut, kept, strict=True):
        first, last = asked(piece)
        assert first <= part[0]
        assert part[-1] <= last < piece.end
        limit = LIMIT_DAYS[gran]
        if limit is not None:
            wall = datetime.fromisoformat(piece.query_end) - datetime.fromisoformat(piece.query_start)
            assert max(wall, last - first) < timedelta(days=limit)


@pytest.mark.parametrize(
    ("start", "end", "zone", "gran", "count"),
    [
        (date(2023, 1, 1), date(2024, 1, 1), "America/New_York", "15min", 12),
        (date(2023, 1, 1), date(2024, 1, 1), "America/New_York", "hourly", 12),
        (date(2023, 1, 1), date(2024, 1, 1), "America/New_York", "1min", 73),
        (date(2023, 1, 1), date(2024, 1, 1), "America/New_York", "daily", 1),
        (date(2024, 1, 1), date(2025, 1, 1), "America/New_York", "daily", 2),  # a leap year is 366 days
        (date(2000, 1, 1), date(2024, 1, 1), "America/New_York", "monthly", 1),
        (date(2000, 1, 1), date(2024, 1, 1), "America/New_York", "yearly", 1),
        (date(2023, 10, 1), date(2023, 11, 1), "Europe/Berlin", "15min", 2),  # 31 days and an hour
        (date(2023, 3, 1), date(2023, 4, 1), "Europe/Berlin", "15min", 1),  # 31 days less an hour
        (date(2024, 10, 27), date(2025, 10, 27), "Europe/Berlin", "daily", 1),  # 365 days and an hour
        (date(2024, 3, 31), date(2025, 3, 31), "Europe/Berlin", "daily", 1),  # 365 days less an hour
        (date(2011, 12, 30), date(2011, 12, 31), "Pacific/Apia", "hourly", 0),
        (date(2011, 12, 30), date(2011, 12, 31), "Pacific/Apia", "daily", 0),
        (date(2024, 1, 2), date(2024, 1, 31), "UTC", "monthly", 0),  # no month starts there
        (date(2024, 1, 1), date(2024, 1, 1), "UTC", "hourly", 0),
    ],
)
def test_the_number_of_slices(start: date, end: date, zone: str, gran: str, count: int) -> None:
    assert len(slices(start, end, zone, gran, LATER)) == count


def test_below_daily_is_asked_in_utc_up_to_the_second_before_the_end() -> None:
    (piece,) = slices(date(2024, 1, 1), date(2024, 2, 1), "America/Los_Angeles", "15min", LATER)
    assert piece == Slice(
        start=datetime(2024, 1, 1, 8, tzinfo=UTC),
        end=datetime(2024, 2, 1, 8, tzinfo=UTC),
        query_start="2024-01-01T08:00:00",
        query_end="2024-02-01T07:59:59",
        tz="UTC",
    )


def test_from_daily_up_is_asked_in_the_sites_zone_in_wall_time() -> None:
    (piece,) = slices(date(2024, 1, 1), date(2024, 2, 1), "America/Los_Angeles", "daily", LATER)
    assert piece == Slice(
        start=datetime(2024, 1, 1, 8, tzinfo=UTC),
        end=datetime(2024, 2, 1, 8, tzinfo=UTC),
        query_start="2024-01-01T00:00:00",
        query_end="2024-01-31T23:59:59",
        tz="America/Los_Angeles",
    )


def test_a_day_whose_midnight_is_skipped_is_asked_from_midnight() -> None:
    (piece,) = slices(date(2018, 11, 4), date(2018, 11, 5), "America/Sao_Paulo", "daily", LATER)
    assert (piece.query_start, piece.query_end) == ("2018-11-04T00:00:00", "2018-11-04T23:59:59")
    assert piece.start == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_a_year_that_clocks_make_an_hour_longer_is_asked_up_to_its_last_day_s_begin() -> None:
    (piece,) = slices(date(2024, 10, 27), date(2025, 10, 27), "Europe/Berlin", "daily", LATER)
    assert (piece.query_start, piece.query_end) == ("2024-10-27T00:00:00", "2025-10-26T22:59:59")
    assert piece.end == datetime(2025, 10, 26, 23, tzinfo=UTC)


def test_whole_hours_are_asked_where_days_begin_at_half_past() -> None:
    now = datetime(2024, 1, 31, 19, tzinfo=UTC)  # 31 days and half an hour after midnight in Kolkata
    (piece,) = slices(date(2024, 1, 1), date(2024, 2, 3), "Asia/Kolkata", "hourly", now)
    assert (piece.query_start, piece.query_end) == ("2023-12-31T19:00:00", "2024-01-31T18:59:59")
    (piece,) = slices(date(2024, 1, 1), date(2024, 2, 1), "Asia/Kolkata", "hourly", now)
    assert (piece.query_start, piece.query_end) == ("2023-12-31T19:00:00", "2024-01-31T18:59:59")


@pytest.mark.parametrize(
    ("gran", "now", "end"),
    [
        ("15min", "2024-01-02T10:14:59+00:00", "2024-01-02T10:00:00+00:00"),
        ("15min", "2024-01-02T10:15:00+00:00", "2024-01-02T10:15:00+00:00"),
        ("hourly", "2024-01-02T10:59:59+00:00", "2024-01-02T10:00:00+00:00"),
        ("daily", "2024-01-02T22:59:59+00:00", "2024-01-01T23:00:00+00:00"),
        ("daily", "2024-01-02T23:00:00+00:00", "2024-01-02T23:00:00+00:00"),
        ("monthly", "2024-02-10T00:00:00+00:00", "2024-01-31T23:00:00+00:00"),
    ],
)
def test_an_interval_that_is_still_open_is_not_asked(gran: str, now: str, end: str) -> None:
    cut = slices(date(2024, 1, 1), date(2024, 3, 1), "Europe/Berlin", gran, datetime.fromisoformat(now))
    assert [piece.end for piece in cut] == [datetime.fromisoformat(end)]


@pytest.mark.parametrize("gran", sorted(LIMIT_DAYS))
def test_the_future_is_never_asked(gran: str) -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert slices(date(2024, 1, 2), date(2026, 1, 2), "America/New_York", gran, now) == []
