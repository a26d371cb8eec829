"""The rows of a data answer, as values: what the server writes out and what tests compare tables with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from locus_stem.sandbox.catalogue import value_of
from locus_stem.sandbox.series import Span, extremes_of

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
    first_column, *others = columns.values()
    lacking = [
        index
        for index, value in enumerate(first_column)
        if value is None
        and all(other[index] is None for other in others)
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
        run = _run_ahead(intervals, index, bounds)
        if run:
            step = after - first
            make = _hours if step == 60 else _slots
            found += make(series, first // 15, (first + run * step) // 15, step, aggregation, scale, offset)
            index += run
            continue
        begin, end = max(first, low), min(after, high)
        span = series.span(begin, end, extremes=extremes) if begin < end else None
        found.append(value_of(span, aggregation, scale, offset))
        index += 1
    return found


def _run_ahead(intervals: Sequence[tuple[int, int]], index: int, bounds: tuple[int, int]) -> int:
    """Count the intervals from ``index`` on that fill whole slots, without a break, within the bounds."""
    first, after = intervals[index]
    step = max(1, after - first)
    if first % 15 or first < bounds[0] or (15 % step and step != 60):
        return 0
    count = min(len(intervals) - index, (bounds[1] - first) // step)
    if step < 15:
        count -= count % (15 // step)
    if count > 0 and intervals[index + count - 1][0] == first + step * (count - 1):
        return count
    return 0


def _slots(
    series: Series, first: int, after: int, step: int, aggregation: str, scale: float, offset: float
) -> list[float | None]:
    """Values of the slots [first, after) in intervals of ``step`` minutes, a solar day at a time.

    The arithmetic is that of value_of, so that an interval has one value, however it is asked for.
    """
    parts = 15 // step
    found: list[float | None] = []
    slot = first
    while slot < after:
        number, within = series.place(slot)
        until = min(96, within + after - slot)
        day = series.day(number)
        pairs = zip(day.values[within:until], day.slopes[within:until], strict=True)
        some: list[float | None]
        if step == 15 and aggregation == "avg":
            some = [round(offset + scale * value, 3) for value, _ in pairs]
        elif step == 15 and aggregation == "sum":
            some = [round(offset + scale * (value / 4), 3) for value, _ in pairs]
        elif aggregation in {"avg", "sum"}:
            divisor = 15 * step if aggregation == "avg" else 900
            shifts = [
                sum(minute - 7 for minute in range(part * step, (part + 1) * step)) for part in range(parts)
            ]
            some = [
                round(offset + scale * ((15 * step * value + slope * shift) / divisor), 3)
                for value, slope in pairs
                for shift in shifts
            ]
        else:
            pick = max if aggregation == "max" else min
            ends = [(part * step - 7, (part + 1) * step - 8) for part in range(parts)]
            some = [
                round(offset + scale * ((15 * value + pick(slope * low, slope * high)) / 15), 3)
                for value, slope in pairs
                for low, high in ends
            ]
        for begin, end in series.empty(number):
            for position in range((max(begin, within) - within) * parts, (min(end, until) - within) * parts):
                some[position] = None
        found += some
        slot += until - within
    return found


def _hours(
    series: Series, first: int, after: int, step: int, aggregation: str, scale: float, offset: float
) -> list[float | None]:
    """Values of the slots [first, after), four by four; most solar days have no holes to look for."""
    found: list[float | None] = []
    extremes = aggregation in {"max", "min"}
    number = -1
    for slot in range(first, after, 4):
        day_number, within = series.place(slot)
        if day_number != number:
            number = day_number
            day, plain = series.day(number), not series.empty(number)
        if plain and within <= 92:
            total = 225 * (day.cumulated[within + 4] - day.cumulated[within])
            ends = extremes_of(day, (within, within + 4)) if extremes else (0, 0)
            span: Span | None = Span(total, step, *ends)
        else:
            span = series.span(15 * slot, 15 * slot + step, extremes=extremes)
        found.append(value_of(span, aggregation, scale, offset))
    return found
