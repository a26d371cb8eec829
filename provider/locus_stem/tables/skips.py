"""Fields that couldn't be asked for, and the marks that they leave on dates of ``coverage``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables.asked import UNTIMED, micros
from locus_stem.tables.expected import ExpectedDates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

__all__ = ["Marks", "Skip"]


@dataclass(frozen=True, slots=True)
class Skip:
    """One field of an entity that couldn't be asked for in [start, end), and why; ``zone`` is the site's.

    ``asked_at`` is when it was refused: see :class:`locus_stem.tables.asked.Asked`.
    """

    entity_id: int | str
    field: str
    reason: str
    zone: str
    start: datetime
    end: datetime
    asked_at: datetime = UNTIMED


class Marks:
    """Reasons for dates on which fields of entities were skipped; counts of such a date are written with its reason."""

    def __init__(self, skips: Iterable[Skip], granularity: str) -> None:
        #: Expected intervals and the reason of each date that is not written yet, by entity, field and date.
        self.left: dict[tuple[str, str, date], tuple[float, str]] = {}
        dates = ExpectedDates(granularity)
        for skip in skips:
            days, numbers = dates.of(skip.zone, ((micros(skip.start), micros(skip.end)),))
            for day, number in zip(days, numbers, strict=True):
                key = (str(skip.entity_id), skip.field, day)
                before, _ = self.left.get(key, (0.0, ""))  # two slices may meet within a day
                self.left[key] = (before + number, skip.reason)
        self._entities = pa.array(sorted({entity for entity, _, _ in self.left}), pa.string())

    def on(self, counts: pa.Table) -> pa.Table:
        """Put reasons on the dates of counts, which are not left then.

        :param counts: rows of ``entity_id``, ``field``, ``local_date`` and ``skipped``.
        """
        if not pc.any(pc.is_in(counts.column("entity_id"), self._entities), min_count=0).as_py():
            return counts
        keys = zip(
            *(counts.column(name).to_pylist() for name in ("entity_id", "field", "local_date")), strict=True
        )
        before = counts.column("skipped").to_pylist()
        reasons = [self.left.pop(key, (0.0, reason))[1] for key, reason in zip(keys, before, strict=True)]
        at = counts.schema.get_field_index("skipped")
        return counts.set_column(at, "skipped", pa.array(reasons, pa.string()))
