"""Locus granularities and the vendor's limits on the time that one request may span, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Granularity:
    """One granularity of the data endpoints.

    :param step: length of an interval; None where the calendar decides (daily and up) and for latest.
    :param limit: the requested period must be shorter than this; None: no limit.
    """

    name: str
    step: timedelta | None
    limit: timedelta | None


#: By name, finest first. Reference: data/data.
GRANULARITIES: dict[str, Granularity] = {
    granularity.name: granularity
    for granularity in (
        Granularity("latest", None, None),
        Granularity("1min", timedelta(minutes=1), timedelta(days=5)),
        Granularity("5min", timedelta(minutes=5), timedelta(days=31)),
        Granularity("15min", timedelta(minutes=15), timedelta(days=31)),
        Granularity("hourly", timedelta(hours=1), timedelta(days=31)),
        Granularity("daily", None, timedelta(days=365)),
        Granularity("monthly", None, None),
        Granularity("yearly", None, None),
    )
}

#: Those that have intervals: all but latest. Only components have latest.
INTERVAL_GRANULARITIES: tuple[str, ...] = tuple(name for name in GRANULARITIES if name != "latest")

#: The only granularity of bulk data, and the most months in one request. Reference: data/get-site-bulk-data.
BULK_GRANULARITY = "monthly"
BULK_LIMIT_MONTHS = 12

#: How far back a partner's `updatedSince` may lie and how long its open-during period may be, both inclusive.
#: Reference: alerts/get-partner-alerts.
ALERTS_UPDATED_SINCE_LIMIT = timedelta(days=7)
ALERTS_OPEN_DURING_LIMIT = timedelta(days=31)


def granularity(name: str) -> Granularity:
    """Look a granularity up.

    :raises ValueError: there is none of this name.
    """
    try:
        return GRANULARITIES[name]
    except KeyError:
        raise ValueError(f"granularity: {name!r} is unknown; allowed: {', '.join(GRANULARITIES)}") from None


def fixed_step(name: str) -> timedelta | None:
    """Give the length of an interval, None where the calendar decides."""
    return granularity(name).step


def limit(name: str) -> timedelta | None:
    """Give what a requested period must be shorter than, None where there is no limit."""
    return granularity(name).limit


def is_below_daily(name: str) -> bool:
    """Whether intervals are shorter than a day: on the UTC grid, where others begin at local midnights."""
    return fixed_step(name) is not None
