"""Moments at which a test would meet what it isn't about, and how it keeps clear of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from locus_stem.demo.noon import seconds_past_noon

#: So long after midnight UTC the day before has ended in every zone, and with it the last month.
MONTH_ENDED = timedelta(hours=13)


def closed_months(now: datetime) -> dict[str, datetime]:
    """Give what lets a run by hand look back at months that have ended in every zone: a logical date, where needed.

    Early on a month's first day the last month still lasts in zones behind UTC.
    """
    earlier = now - MONTH_ENDED
    return {} if earlier.month == now.month else {"logical_date": earlier}


def keep_clear_of_noon(lasts: timedelta) -> None:
    """Wait until the daily DAGs have been scheduled, where that would happen while a test of this length runs."""
    time.sleep(seconds_past_noon(datetime.now(UTC), lasts))
