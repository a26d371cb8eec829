"""How many intervals the windows that were asked for hold, by local date."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from locus_stem.planning.intervals import expected_by_date
from locus_stem.tables.asked import Windows, instant_of

if TYPE_CHECKING:
    from datetime import date

__all__ = ["ExpectedDates"]


class ExpectedDates:
    """Expected intervals by local date, counted once for each zone and windows."""

    def __init__(self, granularity: str) -> None:
        def counted(zone: str, windows: Windows) -> tuple[list[date], list[float]]:
            counts: dict[date, int] = defaultdict(int)
            for start, end in windows:
                for day, number in expected_by_date(
                    instant_of(start), instant_of(end), zone, granularity
                ).items():
                    counts[day] += number
            return list(counts), [float(number) for number in counts.values()]

        self.of = cache(counted)
