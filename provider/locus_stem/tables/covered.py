"""Up to which date fields are covered, as the table ``coverage`` tells: where a run begins that leaves no hole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables.coverage import recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["last_days", "short_dates"]


def last_days(
    lake: Lake, source: str, granularity: str, since: date | None = None
) -> dict[str, dict[str, date]]:
    """Return the last local date of each field of each entity that was asked for; skipped rows don't count.

    :param since: look for holes from here: a field that has rows before a missing date gives the date before that.
        Only for granularities of which every date has rows.
    """
    spans: dict[tuple[str, str], _Span] = {}
    filters = _of_fields(granularity)
    for batch in recorded(lake, source, ["entity_id", "field", "local_date"], filters):
        recent = pc.greater_equal(batch.column("local_date"), since or date.min)
        rows = pa.table(batch).append_column("recent", recent.cast(pa.int64()))
        grouped = rows.group_by(["entity_id", "field"]).aggregate(
            [("local_date", "min"), ("local_date", "max"), ("recent", "sum")]
        )
        columns = ["entity_id", "field", "local_date_min", "local_date_max", "recent_sum"]
        for entity, field, *span in zip(*(grouped.column(name).to_pylist() for name in columns), strict=True):
            first, last, recent_dates = span
            spans[entity, field] = _Span(first, last, recent_dates).with_other(spans.get((entity, field)))
    holed = {key: whole for key, whole in spans.items() if since is not None and whole.has_hole(since)}
    found: dict[str, dict[str, date]] = {}
    for (entity, field), whole in spans.items():
        found.setdefault(entity, {})[field] = whole.last
    for (entity, field), last in _before_holes(lake, source, filters, holed, since).items():
        found[entity][field] = last
    return found


@dataclass(frozen=True, slots=True)
class _Span:
    """First and last date of a field's rows, and how many there are from a date on."""

    first: date
    last: date
    recent: int

    def with_other(self, other: _Span | None) -> _Span:
        if other is None:
            return self
        return _Span(min(self.first, other.first), max(self.last, other.last), self.recent + other.recent)

    def has_hole(self, since: date) -> bool:
        return self.last >= since and (self.last - max(self.first, since)).days + 1 > self.recent


def _before_holes(
    lake: Lake,
    source: str,
    filters: list[Filter],
    holed: Mapping[tuple[str, str], _Span],
    since: date | None,
) -> dict[tuple[str, str], date]:
    """Return the date before the first hole of each of these fields."""
    if not holed or since is None:
        return {}
    dates: dict[tuple[str, str], set[date]] = {key: set() for key in holed}
    for batch in recorded(
        lake, source, ["entity_id", "field", "local_date"], [*filters, ("local_date", ">=", since)]
    ):
        for entity, field, day in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if (entity, field) in dates:
                dates[entity, field].add(day)
    found = {}
    for key, held in dates.items():
        day = max(holed[key].first, since)
        while day in held:
            day += timedelta(days=1)
        found[key] = day - timedelta(days=1)
    return found


def short_dates(
    lake: Lake, source: str, granularity: str, since: date, whole: float
) -> dict[tuple[str, str], dict[date, float]]:
    """Return the local dates on which fewer intervals were asked of an entity's field than on a whole one.

    :param whole: intervals of a date on which no clock changes
    :return: the expected intervals by entity and field, and date
    """
    found: dict[tuple[str, str], dict[date, float]] = {}
    columns = ["entity_id", "field", "local_date", "expected"]
    filters = [*_of_fields(granularity), ("local_date", ">=", since), ("expected", "<", whole)]
    for batch in recorded(lake, source, columns, filters):
        for entity, field, day, expected in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            found.setdefault((entity, field), {})[day] = expected
    return found


def _of_fields(granularity: str) -> list[Filter]:
    """Return the rows of fields that weren't skipped."""
    return [("granularity", "=", granularity), ("field", "!=", ""), ("skipped", "=", None)]
