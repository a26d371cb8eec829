"""The instants at which intervals begin, in a zone, and how the two APIs write instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = {"1min": 1, "5min": 5, "15min": 15, "hourly": 60}


@lru_cache(maxsize=1024)
def zone_info(name: str) -> ZoneInfo | None:
    """Return the zone of exactly that IANA name, or None."""
    return ZoneInfo(name) if name in _zone_names() else None


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def minute_of(moment: datetime) -> int:
    """Return whole minutes since the epoch, rounded down."""
    return int(moment.timestamp() // 60)


def moment_of(minute: int) -> datetime:
    """Return the UTC instant of a minute."""
    return datetime.fromtimestamp(minute * 60, UTC)


def first_minute(day: date, zone: ZoneInfo) -> int:
    """Minute at which the local day begins; the zone's change itself where its midnight is skipped."""
    return minute_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def next_period(day: date, granularity: str) -> date:
    """Return the first day of the next day, month or year."""
    if granularity == "daily":
        return day + timedelta(days=1)
    if granularity == "monthly":
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return date(day.year + 1, 1, 1)


def period_of(day: date, granularity: str) -> date:
    """Return the first day of the day, month or year that holds the day."""
    if granularity == "daily":
        return day
    return day.replace(day=1) if granularity == "monthly" else day.replace(month=1, day=1)


def intervals(start: datetime, end: datetime, zone: ZoneInfo, granularity: str) -> list[tuple[int, int]]:
    """Intervals (first minute, minute after) of the zone's grid that begin in [start, end)."""
    low = -((-int(start.timestamp())) // 60)
    high = -((-int(end.timestamp())) // 60)
    if granularity in MINUTES:
        return list(_fine(low, high, zone, MINUTES[granularity]))
    found = []
    day = period_of(start.astimezone(zone).date(), granularity)
    first = first_minute(day, zone)
    while first < high:
        day = next_period(day, granularity)
        after = first_minute(day, zone)
        if low <= first < after:
            found.append((first, after))
        first = after
    return found


def _fine(low: int, high: int, zone: ZoneInfo, step: int) -> Iterator[tuple[int, int]]:
    """Intervals of at most an hour: on the local clock's grid, cut where its offset changes the grid."""
    minute = low
    while minute < high:
        offset = _offset(minute, zone)
        # The offset is looked at once a day at most: no zone changes twice within one.
        until = min(high, minute + 1440)
        if _offset(until, zone) != offset:
            until = _change(minute, until, zone)
        first = minute + (-(minute + offset)) % step
        while first < until:
            yield first, first + step
            first += step
        minute = until


def _offset(minute: int, zone: ZoneInfo) -> int:
    offset = moment_of(minute).astimezone(zone).utcoffset()
    return int((offset or timedelta()).total_seconds() // 60)


def _change(low: int, high: int, zone: ZoneInfo) -> int:
    """First minute in (low, high] with another offset than low's."""
    before = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def parse_local(text: str, zone: ZoneInfo) -> datetime | None:
    """Read YYYY-MM-DDThh:mm:ss as wall-clock time of the zone; None for anything else."""
    if len(text) != 19:
        return None
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007  # the zone is put in below
    except ValueError:
        return None
    return moment.replace(tzinfo=zone)


def write(moment: datetime, zone: ZoneInfo, utc_suffix: str) -> str:
    """Write an instant as the API does; ``utc_suffix`` stands for an offset of zero."""
    text = moment.astimezone(zone).isoformat(timespec="seconds")
    return text[:-6] + utc_suffix if text.endswith("+00:00") else text


def other_offset(moment: datetime, zone: ZoneInfo) -> str:
    """Write a local midnight with the offset that the zone has in the other half of the year."""
    local = moment.astimezone(zone)
    far = (moment + timedelta(days=182)).astimezone(zone)
    return local.replace(tzinfo=None).isoformat(timespec="seconds") + far.isoformat()[-6:]
