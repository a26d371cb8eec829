"""Timestamps of answers: which interval does a row belong to.

Reference pages data/get-site-data and data/get-component-data: ``ts`` is the start of the interval
(``2014-04-01T12:00:00-07:00``). The offsets are not reliable from daily up (``-07:00`` in January).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from locus_stem.api.granularity import is_below_daily
from locus_stem.api.shown import described
from locus_stem.planning.zones import first_instant

__all__ = ["interval_start_from_answer", "month_from_answer", "parse_instant"]

FIRST_YEAR, LAST_YEAR = 1970, 2100
LONGEST = 40


def parse_instant(text: str, zone: str = "UTC") -> datetime:
    """Return the UTC instant that an ISO 8601 text names; a text without an offset is wall time in ``zone``.

    Raises ValueError for anything else, and for years outside 1970 to 2100.
    """
    stamp = _parse(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return stamp.astimezone(UTC)


def interval_start_from_answer(ts: str, zone: str, granularity: str) -> datetime:
    """Return the first instant (UTC) of the interval that an answer's ``ts`` names.

    Below daily the answer is in the asked zone, UTC, and is taken as it stands. From daily up only its
    wall-clock date counts: the first instant of that date in the site's zone.

    Raises ValueError for a ``ts`` that is no timestamp or lies outside the years 1970 to 2100.
    """
    if is_below_daily(granularity):
        return parse_instant(ts)
    return _start_of_wall_date(ts, zone)


@lru_cache(maxsize=10_000)
def month_from_answer(ts: str) -> date:
    """Return the first day of the month in which a bulk answer's ``ts`` lies, by its wall clock.

    Raises ValueError as ``interval_start_from_answer`` does.
    """
    return _parse(ts).date().replace(day=1)


@lru_cache(maxsize=100_000)
def _start_of_wall_date(ts: str, zone: str) -> datetime:
    return first_instant(_parse(ts).date(), zone)


def _parse(text: str) -> datetime:
    try:
        if len(text) > LONGEST:  # any number of digits of a second would be read, and kept in a cache
            raise ValueError  # noqa: TRY301
        stamp = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(
            f"ts {described(text)} is not an ISO 8601 timestamp such as 2014-04-01T12:00:00-07:00"
        ) from None
    if not FIRST_YEAR <= stamp.year <= LAST_YEAR:
        raise ValueError(f"ts {described(text)} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return stamp
