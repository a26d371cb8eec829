"""Slices: a range of local dates cut into the fewest requests that the vendor's limits allow.

Reference page data/data: a request's time period must be shorter than its granularity's limit. ``end`` is
exclusive in the text and inclusive in an example, so one second less than the slice's end is asked, which
also makes a slice of exactly the limit's length fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from locus_stem.api.granularity import is_below_daily, limit
from locus_stem.planning.intervals import closed_end, first_start
from locus_stem.planning.zones import first_instant, local_day

__all__ = ["Slice", "month_slices", "months_later", "slices"]

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """One request's time: what of the answer is kept, and what is asked.

    :param start: first instant kept (UTC)
    :param end: first instant no longer kept (UTC)
    :param query_start: the API's ``start``, ``YYYY-MM-DDThh:mm:ss`` wall time in ``tz``
    :param query_end: the API's ``end``: a second before ``end``
    :param tz: the API's ``tz``: UTC below daily, the site's zone from daily up
    """

    start: datetime
    end: datetime
    query_start: str
    query_end: str
    tz: str


def slices(start: date, end: date, zone: str, granularity: str, now: datetime) -> list[Slice]:
    """Cut the local dates [start, end) of a zone into the fewest slices.

    Only intervals that have ended by ``now`` are asked for; if there are none (a range in the future, a day
    that the zone skipped, a month's middle at monthly) there are no slices.
    """
    first = first_instant(start, zone)
    last = closed_end(first_instant(end, zone), zone, granularity, now)
    aligned = first_start(first, zone, granularity)
    if aligned >= last:
        return []
    if not is_below_daily(granularity):
        return _local_slices(first, last, zone, limit(granularity))
    # whole intervals are asked: at half past (midnight in Asia/Kolkata) an hour would be cut in two
    after = first_start(last, zone, granularity)
    longest = limit(granularity) or after - aligned
    cuts = [aligned + longest * number for number in range(_count(aligned, after, longest))]
    return [_utc_slice(at, min(at + longest, after)) for at in cuts]


def month_slices(start: date, end: date, zone: str, months: int, now: datetime) -> list[Slice]:
    """Cut the months [start, end) of a zone into the fewest slices of at most so many months.

    Only months that have ended by ``now`` are asked for.

    :param start: a month's first day, like ``end``
    """
    last = closed_end(first_instant(end, zone), zone, "monthly", now)
    found = []
    while (begin := first_instant(start, zone)) < last:
        start = months_later(start, months)
        found.append(_local_slice(begin, min(first_instant(start, zone), last), zone, None))
    return found


def months_later(month: date, number: int) -> date:
    """Return the first day of the month so many months after (below 0: before) the one that holds a day."""
    years, place = divmod(month.month - 1 + number, 12)
    return date(month.year + years, place + 1, 1)


def _count(start: datetime, end: datetime, longest: timedelta) -> int:
    return -((start - end) // longest)


def _utc_slice(start: datetime, end: datetime) -> Slice:
    return Slice(start, end, _wall(start, "UTC"), _wall(end - _SECOND, "UTC"), "UTC")


def _local_slices(start: datetime, end: datetime, zone: str, longest: timedelta | None) -> list[Slice]:
    found = []
    while start < end:
        cut = end if longest is None else min(end, _farthest_midnight(start, zone, longest))
        found.append(_local_slice(start, cut, zone, longest))
        start = cut
    return found


def _farthest_midnight(start: datetime, zone: str, longest: timedelta) -> datetime:
    """Return the last midnight whose day before begins within the limit, by the wall clock and in absolute time."""
    day, days = local_day(start, zone), longest // _DAY
    while first_instant(day + (days - 1) * _DAY, zone) - start >= longest - _SECOND:
        days -= 1
    return first_instant(day + days * _DAY, zone)


def _local_slice(start: datetime, end: datetime, zone: str, longest: timedelta | None) -> Slice:
    # where clocks are set back 365 days are an hour too long in absolute time; the last day begins before that hour
    asked = end - _SECOND if longest is None else min(end, start + longest) - _SECOND
    # midnight also where clocks skip it: it names the same instant, and a daily ts of 00:00:00 isn't left out
    midnight = f"{local_day(start, zone).isoformat()}T00:00:00"
    return Slice(start, end, midnight, _wall(asked, zone), zone)


def _wall(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="seconds")
