"""The rows of a data answer, as values: what the server writes out and what tests compare tables with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from locus_stem.sandbox.catalogue import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locus_stem.sandbox.fleet import Entity, Fleet
    from locus_stem.sandbox.series import Series


class Rows(NamedTuple):
    """Intervals that have a row, and for each field the values in their order; None is null."""

    intervals: list[tuple[int, int]]
    columns: dict[str, list[float | None]]


def rows_of(
    fleet: Fleet,
    entity: Entity,
    intervals: list[tuple[int, int]],
    fields: Sequence[str],
    parameters: Mapping[str, str],
) -> Rows:
    """Values of an entity's fields in some intervals, as far as the present reaches."""
    low, high = entity.first_minute, int(fleet.now().timestamp() // 60)
    if entity.after_minute is not None:
        high = min(high, entity.after_minute)
    if fleet.gaps == "missing":
        intervals = [pair for pair in intervals if pair[1] > low and pair[0] < high]
    columns: dict[str, list[float | None]] = {}
    for short_name in fields:
        field, aggregation = entity.short_names[short_name]
        chosen = {param: parameters.get(param, values[0]) for param, values in field.parameters}
        scale, offset = field.factors(entity.rated_watts, chosen)
        series = fleet.series(entity.type, entity.id, field.name)
        columns[short_name] = column(series, intervals, (low, high), aggregation, scale, offset)
    if fleet.gaps == "empty":
        return Rows(intervals, columns)
    lacking = [
        index
        for index, row in enumerate(zip(*columns.values(), strict=True))
        if all(value is None for value in row)
        and not fleet.has_row(entity, max(low, intervals[index][0]), min(high, intervals[index][1]))
    ]
    if lacking:
        gone = set(lacking)
        kept = [index for index in range(len(intervals)) if index not in gone]
        intervals = [intervals[index] for index in kept]
        columns = {name: [values[index] for index in kept] for name, values in columns.items()}
    return Rows(intervals, columns)


def column(
    series: Series,
    intervals: Sequence[tuple[int, int]],
    bounds: tuple[int, int],
    aggregation: str,
    scale: float,
    offset: float,
) -> list[float | None]:
    """One field's values; ``bounds`` are the minutes between which it has any."""
    low, high = bounds
    extremes = aggregation in {"max", "min"}
    found: list[float | None] = []
    index = 0
    while index < len(intervals):
        first, after = intervals[index]
        run = _slots_ahead(intervals, index, bounds)
        if run > 1:
            found += _slots(series, first // 15, first // 15 + run, aggregation, scale, offset)
            index += run
            continue
        begin, end = max(first, low), min(after, high)
        span = series.span(begin, end, extremes=extremes) if begin < end else None
        found.append(value_of(span, aggregation, scale, offset))
        index += 1
    return found


def _slots_ahead(intervals: Sequence[tuple[int, int]], index: int, bounds: tuple[int, int]) -> int:
    """How many of the intervals from ``index`` on are single whole slots, one after the other, within the bounds."""
    first, after = intervals[index]
    if after - first != 15 or first % 15 or first < bounds[0]:
        return 0
    count = min(len(intervals) - index, (bounds[1] - first) // 15)
    if count > 0 and intervals[index + count - 1] == (first + 15 * (count - 1), first + 15 * count):
        return count
    return 0


def _slots(
    series: Series, first: int, after: int, aggregation: str, scale: float, offset: float
) -> list[float | None]:
    """Values of the slots [first, after), a day at a time."""
    found: list[float | None] = []
    slot = first
    while slot < after:
        number, within = series.place(slot)
        until = min(96, within + after - slot)
        day = series.day(number)
        some: list[float | None]
        if aggregation == "avg":
            some = [round(offset + scale * value, 3) for value in day.values[within:until]]
        elif aggregation == "sum":
            quarter = scale / 4
            some = [round(quarter * value, 3) for value in day.values[within:until]]
        else:
            sign = 7 if aggregation == "max" else -7
            fifteenth = scale / 15
            some = [
                round(offset + fifteenth * (15 * value + sign * abs(slope)), 3)
                for value, slope in zip(day.values[within:until], day.slopes[within:until], strict=True)
            ]
        for begin, end in series.empty(number):
            for position in range(max(begin, within), min(end, until)):
                some[position - within] = None
        found += some
        slot += until - within
    return found
