"""Intervals: where they start and end, which are closed, and how many a local day has.

Below daily the intervals lie on the UTC grid, because that is the zone they are asked in; from daily up they
are the local days, months and years of the site's zone. A granularity of digits is a Stem resolution in seconds,
on the UTC grid too. Every instant taken and returned is an aware datetime
in UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from locus_stem.api.granularity import fixed_step
from locus_stem.planning.zones import first_instant, local_day

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ceil_to_grid",
    "closed_end",
    "expected_by_date",
    "expected_on",
    "first_start",
    "floor_to_grid",
    "interval_end",
    "local_date",
    "starts",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def local_date(start: datetime, zone: str) -> date:
    """Return the wall-clock date in the zone at which an interval starts."""
    return start.astimezone(ZoneInfo(zone)).date()


def starts(start: datetime, end: datetime, zone: str, granularity: str) -> Iterator[datetime]:
    """Yield the starts of the intervals that begin in [start, end), in order, each once."""
    at = first_start(start, zone, granularity)
    while at < end:
        yield at
        at = interval_end(at, zone, granularity)


def first_start(instant: datetime, zone: str, granularity: str) -> datetime:
    """Return the start of the first interval that begins at the instant or after it."""
    step = _step(granularity)
    if step is not None:
        return ceil_to_grid(instant, step)
    at = first_instant(_period_start(local_day(instant, zone), granularity), zone)
    return at if at == instant else interval_end(instant, zone, granularity)


def interval_end(start: datetime, zone: str, granularity: str) -> datetime:
    """Return the end (exclusive) of the interval that starts at this instant."""
    step = _step(granularity)
    if step is not None:
        return start + step
    return first_instant(_next_period(local_day(start, zone), granularity), zone)


def closed_end(end: datetime, zone: str, granularity: str, now: datetime) -> datetime:
    """Return the latest instant, at most ``end``, before which only intervals start that are over by now."""
    step = _step(granularity)
    if step is not None:
        return min(end, floor_to_grid(now, step))
    return min(end, first_instant(_period_start(local_day(now, zone), granularity), zone))


def expected_by_date(start: datetime, end: datetime, zone: str, granularity: str) -> dict[date, int]:
    """Count the intervals that begin in [start, end) by local date; dates without any are left out.

    Below daily this takes time by the number of days, not of intervals.
    """
    step = _step(granularity)
    counts: dict[date, int] = {}
    if step is None:
        for at in starts(start, end, zone, granularity):
            counts[local_date(at, zone)] = 1
        return counts
    tz = ZoneInfo(zone)
    at = ceil_to_grid(start, step)
    while at < end:
        until = min(first_instant(local_day(at, zone) + _DAY, zone), end)
        until = ceil_to_grid(until, step)
        wall, last = at.astimezone(tz), (until - step).astimezone(tz)
        if wall.utcoffset() == last.utcoffset() and wall.date() == last.date():
            counts[wall.date()] = counts.get(wall.date(), 0) + (until - at) // step
        else:  # clocks change: count one by one
            for position in range((until - at) // step):
                day = (at + position * step).astimezone(tz).date()
                counts[day] = counts.get(day, 0) + 1
        at = until
    return counts


def expected_on(day: date, zone: str, granularity: str) -> int:
    """Count the intervals that begin on a whole local date."""
    start, end = first_instant(day, zone), first_instant(day + _DAY, zone)
    return expected_by_date(start, end, zone, granularity).get(day, 0)


def ceil_to_grid(instant: datetime, step: timedelta) -> datetime:
    """Return the first instant of the UTC grid of this step at or after the instant."""
    return _EPOCH - (_EPOCH - instant) // step * step


def floor_to_grid(instant: datetime, step: timedelta) -> datetime:
    """Return the last instant of the UTC grid of this step at or before the instant."""
    return _EPOCH + (instant - _EPOCH) // step * step


def _step(granularity: str) -> timedelta | None:
    return timedelta(seconds=int(granularity)) if granularity.isdigit() else fixed_step(granularity)


def _period_start(day: date, granularity: str) -> date:
    if granularity == "yearly":
        return day.replace(month=1, day=1)
    if granularity == "monthly":
        return day.replace(day=1)
    if granularity == "daily":
        return day
    raise ValueError(f"granularity {granularity!r} has no intervals")


def _next_period(day: date, granularity: str) -> date:
    if granularity == "yearly":
        return date(day.year + 1, 1, 1)
    if granularity == "monthly":
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day + _DAY
