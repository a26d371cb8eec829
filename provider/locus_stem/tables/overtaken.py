"""What of an answer still counts, where other runs asked later for the same and were loaded first. Pure.

Of an interval's value the answer that was asked last decides; of a date in ``coverage`` the run that asked last about
it, whatever part of the date. A refusal says nothing about values: it only marks a date that no later answer is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from locus_stem.planning.intervals import expected_by_date
from locus_stem.planning.zones import first_instant
from locus_stem.tables.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locus_stem.tables.asked import Asked

__all__ = ["Due", "Later", "Names", "due", "title"]

Window = tuple[datetime, datetime]
Dates = Callable[[datetime, datetime, str], frozenset[date]]
#: Entity and field as ``coverage`` names them, of entities that are one series of an entity with a name.
Names = Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Later:
    """An answer, or with a ``reason`` a refusal, of another run that is loaded: fields of an entity in [start, end)."""

    entity_id: str
    fields: frozenset[str]
    start: datetime
    end: datetime
    asked_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What a load is to bring to the tables.

    :param asked: for which the data table must equal the answers.
    :param covered: of which ``coverage`` is recorded.
    :param skips: which ``coverage`` is to mark after that.
    :param overtaken: answers of which another run's later ones have taken a part, or all.
    """

    asked: Sequence[Asked]
    covered: Sequence[Asked]
    skips: Sequence[Skip]
    overtaken: int = 0


def title(one: Asked, names: Names | None) -> tuple[str, tuple[str, ...]]:
    """Name an entity and its fields as ``coverage`` does."""
    if names is None:
        return str(one.entity_id), one.fields
    entity, field = names[one.entity_id]
    return entity, (field,)


def due(
    asked: Sequence[Asked],
    skips: Sequence[Skip],
    later: Iterable[Later],
    granularity: str,
    names: Names | None = None,
) -> Due:
    """Take out of what was asked what others have asked later.

    :param later: of the same table and granularity; what was in fact asked earlier takes nothing out.
    """
    theirs: dict[str, list[Later]] = defaultdict(list)
    for other in later:
        theirs[other.entity_id].append(other)
    if not theirs:
        return Due(asked, asked, skips)

    @cache
    def dates(start: datetime, end: datetime, zone: str) -> frozenset[date]:
        return frozenset(expected_by_date(start, end, zone, granularity))

    data: list[Asked] = []
    covered: list[Asked] = []
    marks: list[Skip] = []
    overtaken = 0
    met: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        entity, fields = title(one, names)
        answers = [other for other in theirs.get(entity, ()) if other.reason is None]
        left = _left(one, fields, answers)
        overtaken += left != [one]
        data += left
        if entity in theirs:
            met[entity].append(one)
        else:
            covered.append(one)
    for entity, mine in met.items():
        still, again = _coverage(mine, theirs[entity], dates, names)
        covered += still
        marks += again
    for skip in skips:
        marks += _still_refused(skip, theirs.get(str(skip.entity_id), ()), dates)
    return Due(data, covered, marks, overtaken)


def _left(one: Asked, fields: Sequence[str], others: Sequence[Later]) -> list[Asked]:
    """Return the parts of an answer whose values no other's later one has told."""
    groups: dict[tuple[Window, ...], list[str]] = defaultdict(list)
    for field in fields:
        groups[
            tuple(
                (other.start, other.end)
                for other in others
                if other.asked_at > one.asked_at
                and field in other.fields
                and other.start < one.end
                and one.start < other.end
            )
        ].append(field)
    if set(groups) <= {()}:
        return [one]
    return [
        replace(one, fields=_own(one, group), start=start, end=end)
        for windows, group in groups.items()
        for start, end in _without((one.start, one.end), windows)
    ]


def _coverage(
    mine: Sequence[Asked], theirs: Sequence[Later], dates: Dates, names: Names | None
) -> tuple[list[Asked], list[Skip]]:
    """Return of one entity what is recorded, and the later refusals that are to be marked on it again."""
    answers: dict[str, list[Asked]] = defaultdict(list)
    for one in mine:
        for field in title(one, names)[1]:
            answers[field].append(one)
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = defaultdict(list)
    for field, of_field in answers.items():
        others = (place for place, other in enumerate(theirs) if field in other.fields)
        alike[tuple(map(id, of_field)), tuple(others)].append(field)
    covered: list[Asked] = []
    marks: list[Skip] = []
    for (_, places), fields in alike.items():
        of_fields = answers[fields[0]]
        asked_at: dict[date, datetime] = {}
        for one in of_fields:
            for day in dates(one.start, one.end, one.zone):
                asked_at[day] = max(one.asked_at, asked_at.get(day, one.asked_at))
        zone = of_fields[0].zone
        lost: set[date] = set()
        refused: dict[date, Later] = {}
        for other in sorted((theirs[place] for place in places), key=lambda one: one.asked_at):
            for day in dates(other.start, other.end, zone):
                if day in asked_at and other.asked_at > asked_at[day]:
                    if other.reason is None:
                        lost.add(day)
                        refused.pop(day, None)
                    else:
                        refused[day] = other
        taken = _spans(lost, zone)
        for one in of_fields:
            covered += [
                replace(one, fields=_own(one, fields), start=start, end=end)
                for start, end in _without((one.start, one.end), taken)
            ]
        entity, _ = title(of_fields[0], names)
        marks += [
            Skip(entity, field, str(other.reason), zone, *_span(day, zone), other.asked_at)
            for day, other in sorted(refused.items())
            if day not in lost
            for field in fields
        ]
    return covered, marks


def _still_refused(skip: Skip, theirs: Sequence[Later], dates: Dates) -> list[Skip]:
    lost = {
        day
        for other in theirs
        if skip.field in other.fields and other.asked_at > skip.asked_at
        for day in dates(other.start, other.end, skip.zone)
    }
    if not lost:
        return [skip]
    return [
        replace(skip, start=start, end=end)
        for start, end in _without((skip.start, skip.end), _spans(lost, skip.zone))
    ]


def _own(one: Asked, fields: Sequence[str]) -> tuple[str, ...]:
    """Return fields as the data table names them: a series has one, whatever ``coverage`` calls it."""
    chosen = set(fields)
    return tuple(field for field in one.fields if field in chosen) or one.fields


@lru_cache(maxsize=10_000)
def _span(day: date, zone: str) -> Window:
    return first_instant(day, zone), first_instant(day + timedelta(days=1), zone)


def _spans(days: Iterable[date], zone: str) -> list[Window]:
    """Return the windows that whole local dates are, dates that follow each other in one."""
    spans: list[Window] = []
    for day in sorted(days):
        start, end = _span(day, zone)
        if spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return spans


def _without(window: Window, others: Iterable[Window]) -> list[Window]:
    """Return what is left of a window, in order."""
    at, end = window
    left: list[Window] = []
    for start, until in sorted(others):
        if at < min(start, end):
            left.append((at, min(start, end)))
        at = max(at, until)
    if at < end:
        left.append((at, end))
    return left
