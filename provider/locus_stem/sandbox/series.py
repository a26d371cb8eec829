"""One entity's series of one base field: any span of minutes, summed, with its gaps and revisions.

Times are whole minutes since 1970-01-01T00:00Z (``minute``); slots are 15 of them. A *day* here is a solar
day of the entity: the slots shifted by its standard offset from UTC, so that noon stands where the sun does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from locus_stem.sandbox.recorded import SLOTS_A_DAY, Channel, RecordedDay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SLOT_MINUTES = 15


class Span(NamedTuple):
    """What a span holds: sum over its minutes, their number, extremes; all but the number in 1/15 quanta."""

    total: int
    minutes: int
    highest: int
    lowest: int


@dataclass(frozen=True, slots=True)
class Holes:
    """Slots without a value: [first, after) of each day whose number leaves ``remainder`` by ``period``."""

    period: int
    remainder: int
    first: int
    after: int

    def on(self, day: int) -> bool:
        """Whether the day has the hole."""
        return day % self.period == self.remainder

    def days(self, first: int, after: int) -> range:
        """Days of [first, after) with the hole."""
        return range(first + (self.remainder - first) % self.period, after, self.period)


@dataclass(frozen=True, slots=True)
class Revision:
    """A later correction: slots [first, after) withdrawn, or multiplied by ``permille`` thousandths."""

    first: int
    after: int
    permille: int | None
    base_fields: frozenset[str] | None = None


@dataclass(slots=True)
class Series:
    """A base field's values of one entity."""

    channel: Channel
    cycle_shift: int
    slot_shift: int
    holes: tuple[Holes, ...] = ()
    revisions: tuple[Revision, ...] = ()
    _revised: dict[int, RecordedDay] = field(default_factory=dict)

    def place(self, slot: int) -> tuple[int, int]:
        """Return the solar day and the slot within it."""
        return divmod(slot + self.slot_shift, SLOTS_A_DAY)

    def day(self, number: int) -> RecordedDay:
        """Return the values of a solar day, revisions applied."""
        recorded = self.channel.day(number + self.cycle_shift)
        factors = [
            revision for revision in self._touching(number, number + 1) if revision.permille is not None
        ]
        if not factors:
            return recorded
        if number not in self._revised:
            first_slot = number * SLOTS_A_DAY - self.slot_shift
            permille = [1000] * SLOTS_A_DAY
            for revision in factors:
                assert revision.permille is not None  # noqa: S101  # by the filter above
                for slot in range(
                    max(0, revision.first - first_slot), min(SLOTS_A_DAY, revision.after - first_slot)
                ):
                    permille[slot] = permille[slot] * revision.permille // 1000
            self._revised[number] = recorded.scaled(permille)
        return self._revised[number]

    def _touching(self, first_day: int, after_day: int) -> list[Revision]:
        if not self.revisions:
            return []
        first = first_day * SLOTS_A_DAY - self.slot_shift
        after = after_day * SLOTS_A_DAY - self.slot_shift
        return [revision for revision in self.revisions if revision.first < after and revision.after > first]

    def empty(self, number: int) -> list[tuple[int, int]]:
        """Ranges of slots of a solar day that have no value: ordered, apart from each other."""
        ranges = [(hole.first, hole.after) for hole in self.holes if hole.on(number)]
        first_slot = number * SLOTS_A_DAY - self.slot_shift
        ranges += [
            (max(0, revision.first - first_slot), min(SLOTS_A_DAY, revision.after - first_slot))
            for revision in self._touching(number, number + 1)
            if revision.permille is None
        ]
        if len(ranges) < 2:
            return ranges
        ranges.sort()
        merged = [ranges[0]]
        for first, after in ranges[1:]:
            if first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(after, merged[-1][1]))
            else:
                merged.append((first, after))
        return merged

    def has_value(self, slot: int) -> bool:
        """Whether a slot has a value."""
        number, within = self.place(slot)
        return not any(first <= within < after for first, after in self.empty(number))

    def span(self, first: int, after: int, *, extremes: bool = True) -> Span | None:
        """Sum the minutes [first, after); None where no slot of it has a value."""
        first_slot, first_rest = divmod(first, SLOT_MINUTES)
        after_slot, after_rest = divmod(after, SLOT_MINUTES)
        if first_slot == after_slot:
            return self._part(first_slot, first_rest, after_rest)
        parts: list[Span | None] = []
        if first_rest:
            parts.append(self._part(first_slot, first_rest, SLOT_MINUTES))
            first_slot += 1
        parts += self._whole(first_slot, after_slot, extremes=extremes)
        if after_rest:
            parts.append(self._part(after_slot, 0, after_rest))
        found = [part for part in parts if part is not None]
        if not found:
            return None
        if len(found) == 1:
            return found[0]
        return Span(
            sum(part.total for part in found),
            sum(part.minutes for part in found),
            max(part.highest for part in found),
            min(part.lowest for part in found),
        )

    def _part(self, slot: int, first: int, after: int) -> Span | None:
        number, within = self.place(slot)
        if first >= after or any(begin <= within < end for begin, end in self.empty(number)):
            return None
        day = self.day(number)
        base, slope = 15 * day.values[within], day.slopes[within]
        steps = (first + after - 1) * (after - first) // 2 - 7 * (after - first)
        ends = (base + slope * (first - 7), base + slope * (after - 8))
        return Span(base * (after - first) + slope * steps, after - first, max(ends), min(ends))

    def _whole(self, first: int, after: int, *, extremes: bool) -> Iterator[Span | None]:
        first_day, first_within = self.place(first)
        after_day, after_within = self.place(after)
        if first < after and not extremes and not self._touching(first_day, after_day + 1):
            yield self._sum(first, after)
        elif first_day == after_day:
            yield self._within(first_day, first_within, after_within)
        else:
            yield self._within(first_day, first_within, SLOTS_A_DAY)
            for number in range(first_day + 1, after_day):
                yield self._within(number, 0, SLOTS_A_DAY)
            yield self._within(after_day, 0, after_within)

    def _within(self, number: int, first: int, after: int) -> Span | None:
        if first >= after:
            return None
        day = self.day(number)
        total = day.cumulated[after] - day.cumulated[first]
        slots = after - first
        ranges = [
            (max(first, begin), min(after, end))
            for begin, end in self.empty(number)
            if begin < after and end > first
        ]
        for begin, end in ranges:
            total -= day.cumulated[end] - day.cumulated[begin]
            slots -= end - begin
        if not slots:
            return None
        if slots == SLOTS_A_DAY:
            return Span(225 * total, 1440, day.highest, day.lowest)
        edges = [first, *(edge for pair in ranges for edge in pair), after]
        highest, lowest = extremes_of(day, edges)
        return Span(225 * total, SLOT_MINUTES * slots, highest, lowest)

    def _sum(self, first: int, after: int) -> Span | None:
        """Sum unrevised slots from the channel's running sums; extremes are not looked for."""
        first_day, first_within = self.place(first)
        after_day, after_within = self.place(after)
        shift = self.cycle_shift
        total = self.channel.before(after_day + shift, after_within)
        total -= self.channel.before(first_day + shift, first_within)
        slots = after - first
        for number in {number for hole in self.holes for number in hole.days(first_day, after_day + 1)}:
            low = first_within if number == first_day else 0
            high = after_within if number == after_day else SLOTS_A_DAY
            cumulated = self.channel.day(number + shift).cumulated
            for begin, end in self.empty(number):
                if begin < high and end > low:
                    total -= cumulated[min(end, high)] - cumulated[max(begin, low)]
                    slots -= min(end, high) - max(begin, low)
        return Span(225 * total, SLOT_MINUTES * slots, 0, 0) if slots else None


def extremes_of(day: RecordedDay, edges: Sequence[int]) -> tuple[int, int]:
    """Highest and lowest minute of the slots [edges[0], edges[1]), [edges[2], edges[3]), …."""
    if len(edges) == 2:
        first, after = edges
        return max(day.highs[first:after]), min(day.lows[first:after])
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    highs = [high for first, after in pairs for high in day.highs[first:after]]
    lows = [low for first, after in pairs for low in day.lows[first:after]]
    return max(highs), min(lows)
