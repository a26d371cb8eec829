"""Which alert requests bring everything that changed since an instant, within the vendor's limits.

A partner's ``updatedSince`` lies at most 7 days back by the server's clock, an open-during period spans at
most 31 days (reference page alerts/get-partner-alerts). All instants are aware and in UTC; requests are in
whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import ALERTS_OPEN_DURING_LIMIT, ALERTS_UPDATED_SINCE_LIMIT
from locus_stem.planning.params import ParamError, given
from locus_stem.planning.timestamps import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OpenDuring",
    "ServerClock",
    "is_check_due",
    "mark_after",
    "oldest_since",
    "open_now",
    "slices",
    "updated_since_from",
]

#: By so much the server's clock and this machine's may differ, either way, before one is compared with the other.
CLOCK_DIFFERENCE = timedelta(minutes=30)
#: The next request begins so long before the last one: the clocks' difference and the API's delay, at no request.
OVERLAP = timedelta(minutes=60)
#: Kept clear of the limit of 7 days: time goes by until the server reads the request.
LEEWAY = timedelta(minutes=5)
#: What open-during requests have read stays within reach of ``updatedSince`` for so long: they take time.
REACH = timedelta(minutes=25)
#: An alert's last update may come so long after its end; the reference's example shows two days.
LATE_UPDATE = timedelta(days=3)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServerClock:
    """What is known of the server's present.

    :param now: own clock.
    :param ahead: by how much the server's clock is ahead of it; None: not known yet.
    """

    now: datetime
    ahead: timedelta | None = None

    @property
    def earliest(self) -> datetime:
        """The earliest that it can be there."""
        return self.now + (-CLOCK_DIFFERENCE if self.ahead is None else self.ahead)

    @property
    def latest(self) -> datetime:
        """The latest that it can be there."""
        return self.now + (CLOCK_DIFFERENCE if self.ahead is None else self.ahead)


@dataclass(frozen=True, slots=True)
class OpenDuring:
    """One request for the alerts open at some time of [start, end].

    :param mark: with its answer every change before this instant is read.
    """

    start: datetime
    end: datetime
    mark: datetime


def oldest_since(clock: ServerClock) -> datetime:
    """Return the earliest ``updatedSince`` that the server surely takes: 7 days less 5 minutes ago."""
    return _whole_second(clock.latest - ALERTS_UPDATED_SINCE_LIMIT + LEEWAY)


def slices(read_to: datetime | None, clock: ServerClock) -> list[OpenDuring]:
    """Return the open-during requests that must come before ``updatedSince``, oldest first; often none.

    They reach to where ``updatedSince`` can begin, and begin early enough to show alerts that ended before
    ``read_to`` and were last updated after it.

    :param read_to: every change before it is read; None: nothing is, and the last 31 days are asked for.
    """
    oldest = oldest_since(clock)
    needed = oldest + REACH
    latest = _whole_second(clock.earliest)
    step = ALERTS_OPEN_DURING_LIMIT
    if read_to is None:
        return [OpenDuring(latest - step, latest, needed)]
    if read_to >= oldest:
        return []
    begin = read_to - LATE_UPDATE
    number = -(-(needed - begin) // step)
    # What is left of the last slice reaches further in both directions, later first.
    end = min(latest, _whole_second(begin) + number * step)
    ends = [end - later * step for later in reversed(range(number))]
    return [OpenDuring(last - step, last, min(last, needed)) for last in ends]


def open_now(clock: ServerClock) -> OpenDuring:
    """Return the period that every alert which is open now was open in, but those of the last hour."""
    end = _whole_second(clock.earliest)
    return OpenDuring(end - ALERTS_OPEN_DURING_LIMIT, end, end)


def mark_after(asked_at: datetime, server_date: datetime | None) -> datetime:
    """Return the instant before which every change is read with an ``updatedSince`` that was asked then."""
    return _whole_second(min(asked_at, server_date or asked_at) - OVERLAP)


def is_check_due(last: datetime | None, now: datetime) -> bool:
    """Whether open alerts are to be asked for: in the first run of a UTC day."""
    return last is None or last.date() != now.date()


def updated_since_from(raw: Mapping[str, Any], now: datetime) -> datetime | None:
    """Read the param ``updated_since``; without a zone it is in UTC, a date alone its midnight.

    :raises ParamError: it is no instant, or lies in the future.
    """
    name = "updated_since"
    value = given(raw, name)
    if value is None:
        return None
    allowed = "an instant YYYY-MM-DDThh:mm:ss, with an offset or else in UTC, from 1970 on is needed, or null"
    try:
        instant = parse_instant(value.isoformat() if isinstance(value, datetime) else value.strip())
    except (AttributeError, ValueError, OverflowError):
        raise ParamError(name, value, allowed) from None
    if instant > now:
        raise ParamError(name, value, f"lies in the future (it is {now:%Y-%m-%dT%H:%M:%SZ}); {allowed}")
    return _whole_second(max(instant, EARLIEST + LATE_UPDATE + ALERTS_OPEN_DURING_LIMIT))


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
