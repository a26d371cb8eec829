"""The recorded measurements that the sandbox replays: integers, a day at a time, ready to be summed.

Values are integers of a channel's quantum. Within a 15-minute slot the value moves along a straight line
whose mean is the recorded value, so that every minute, and every granularity above it, follows from one
series: in fifteenths of a quantum, minute j (0..14) of a slot is ``15 * value + slope * (j - 7)``.
"""

from __future__ import annotations

import gzip
import json
import sys
from array import array
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS_A_DAY = 96
FILE = "recorded.bin.gz"


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """96 slots of one channel.

    ``cumulated[n]`` is the sum of the first n values; ``highs`` and ``lows`` are each slot's extremes, ``highest`` and
    ``lowest`` the day's, in 1/15 quanta.
    """

    values: Sequence[int]
    slopes: Sequence[int]
    cumulated: Sequence[int]
    highs: Sequence[int]
    lows: Sequence[int]
    highest: int
    lowest: int

    @classmethod
    def of(cls, values: Sequence[int]) -> RecordedDay:
        """Prepare a day's values; the slope leans to neither neighbour where the two disagree."""
        slopes = [0] * len(values)
        for slot in range(1, len(values) - 1):
            before = values[slot] - values[slot - 1]
            after = values[slot + 1] - values[slot]
            if before * after > 0:
                slopes[slot] = min(before, after) if before > 0 else max(before, after)
        highs = [15 * value + 7 * abs(slope) for value, slope in zip(values, slopes, strict=True)]
        lows = [15 * value - 7 * abs(slope) for value, slope in zip(values, slopes, strict=True)]
        return cls(values, slopes, [0, *accumulate(values)], highs, lows, max(highs), min(lows))

    def scaled(self, permille: Sequence[int]) -> RecordedDay:
        """Return the day with each slot's value multiplied by its own factor, in thousandths."""
        return RecordedDay.of(
            [value * factor // 1000 for value, factor in zip(self.values, permille, strict=True)]
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """One recorded quantity: its days in a cycle, and the sums of the days before each."""

    name: str
    quantum: float
    days: Sequence[RecordedDay]
    cumulated: Sequence[int]

    @classmethod
    def of(cls, name: str, quantum: float, values: Sequence[int]) -> Channel:
        """Cut a series of 15-minute values into days."""
        days = [
            RecordedDay.of(values[first : first + SLOTS_A_DAY])
            for first in range(0, len(values) - SLOTS_A_DAY + 1, SLOTS_A_DAY)
        ]
        return cls(name, quantum, days, [0, *accumulate(day.cumulated[-1] for day in days)])

    def day(self, number: int) -> RecordedDay:
        """Day ``number`` of the endless cycle."""
        return self.days[number % len(self.days)]

    def before(self, number: int, within: int) -> int:
        """Sum of all values of the endless cycle from day 0 until slot ``within`` of day ``number``."""
        cycles, rest = divmod(number, len(self.days))
        return cycles * self.cumulated[-1] + self.cumulated[rest] + self.days[rest].cumulated[within]


@cache
def _file() -> dict[str, tuple[float, array[int]]]:
    raw = gzip.decompress(resources.files("locus_stem.sandbox").joinpath("data", FILE).read_bytes())
    header, body = raw.split(b"\n", 1)
    found: dict[str, tuple[float, array[int]]] = {}
    offset = 0
    for description in json.loads(header):
        size = 2 * description["count"]
        values = array("h")
        values.frombytes(body[offset : offset + size])
        if sys.byteorder == "big":
            values.byteswap()
        found[description["name"]] = (description["quantum"], values)
        offset += size
    return found


@cache
def channel(name: str) -> Channel:
    """Return a channel of the file by name, or one derived from it.

    ``expected`` is the mean day of ``power``, every day again.
    """
    if name == "expected":
        power = channel("power")
        mean = [sum(day.values[slot] for day in power.days) // len(power.days) for slot in range(SLOTS_A_DAY)]
        return Channel.of(name, power.quantum, mean)
    quantum, values = _file()[name]
    return Channel.of(name, quantum, values)


@cache
def hourly_load(name: str) -> tuple[float, Sequence[int]]:
    """Return quantum (kW) and hourly values of a building's load."""
    return _file()[name]
