"""12:00 UTC, at which the daily DAGs are scheduled again: what counts their runs keeps clear of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def seconds_past_noon(now: datetime, lasts: timedelta) -> float:
    """Give the seconds to wait until noon is over; 0 where it doesn't come while something lasts so long.

    :param now: in UTC.
    """
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    if not now <= noon < now + lasts:
        return 0.0
    return (noon - now + timedelta(seconds=2)).total_seconds()
