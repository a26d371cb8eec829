"""What tables and coverage must hold after loads, as dicts: of each value the answer that was asked last decides."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .order_benches import Answer, MeasurementBench

#: Entity, field and date.
Day = tuple[int, str, Any]


@dataclass
class Run:
    """One run: what it was answered, and whether that is loaded."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    loaded: bool = False
    begun: bool = False

    def given(self) -> list[Answer]:
        return [one for one in self.answers if one.reason is None]

    def refused(self) -> list[Answer]:
        return [one for one in self.answers if one.reason is not None]


def due_values(runs: Iterable[Run]) -> dict[tuple[int, int, str], float]:
    """Return every value that must be there."""
    last: dict[tuple[int, int, str], tuple[int, float | None]] = {}
    for run in runs:
        for one in run.given():
            for place in range(one.start, one.end):
                for name in one.fields:
                    key = one.entity, place, name
                    if key not in last or one.asked_at > last[key][0]:
                        last[key] = one.asked_at, one.rows.get(place, {}).get(name)
    return {key: value for key, (_, value) in last.items() if value is not None}


def due_coverage(bench: MeasurementBench, runs: list[Run], without: str | None) -> dict[Day, tuple[Any, ...]]:
    """Return expected (None: whatever), received, null_count and skipped of each date that was asked about."""
    owners: dict[Day, tuple[int, Run]] = {}
    marks: dict[Day, tuple[int, str]] = {}
    for run in runs:
        for one in run.given():
            for key in _days(bench, one):
                if key not in owners or one.asked_at > owners[key][0]:
                    owners[key] = one.asked_at, run
        for one in run.refused():
            for key in _days(bench, one):
                if key not in marks or one.asked_at > marks[key][0]:
                    marks[key] = one.asked_at, str(one.reason)
    found: dict[Day, tuple[Any, ...]] = {}
    for key, (asked_at, run) in owners.items():
        expected, received, nulls, nothing = _counts(bench, run, key)
        skipped = without if nothing else None
        if key in marks and marks[key][0] > asked_at:
            skipped = marks[key][1]
        found[key] = expected, received, nulls, skipped
    for key, (_, reason) in marks.items():
        found.setdefault(key, (None, 0, 0, reason))
    return found


def _days(bench: MeasurementBench, one: Answer) -> set[Day]:
    days = {bench.day(place) for place in range(one.start, one.end)}
    return {(one.entity, name, day) for name in one.fields for day in days}


def _counts(bench: MeasurementBench, run: Run, key: Day) -> tuple[int, int, int, bool]:
    """Return expected, received, nulls of one run's answers, and whether they hold nothing at all of the entity."""
    entity, name, day = key
    rows: defaultdict[int, dict[str, float | None]] = defaultdict(dict)
    asked: set[int] = set()
    for one in run.given():
        if one.entity == entity:
            for place, row in one.rows.items():
                rows[place] |= row
            if name in one.fields:
                asked |= {place for place in range(one.start, one.end) if bench.day(place) == day}
    alone = bench.names() is not None  # a stream's rows are its own, those of fields are shared
    answered = [place for place in asked if place in rows and (not alone or name in rows[place])]
    received = sum(rows[place].get(name) is not None for place in answered)
    return len(asked), received, len(answered) - received, not rows
