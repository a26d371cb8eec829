"""What was asked of the API: which fields of which entities in which windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables.schemas import CHANGE_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Asked", "FieldNameError", "Scope"]

Windows = tuple[tuple[int, int], ...]

RESERVED = frozenset({
    "site_id", "component_id", "entity_id", "granularity", "ts", "local_date", "month", *CHANGE_DATA,
})  # fmt: skip
NEVER = (2**62, 2**62)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: When what nobody gave a time was asked: anything else is later.
UNTIMED = EPOCH


class FieldNameError(ValueError):
    """A field can't be a column: its name is one of the table's own, or differs from another only in case."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One entity's fields in one closed window [start, end); ``zone`` is the site's, an IANA name.

    ``asked_at`` is when: loads that keep to an order (:mod:`locus_stem.tables.loads`) go by it.
    """

    entity_id: int
    site_id: int
    zone: str
    fields: tuple[str, ...]
    start: datetime
    end: datetime
    asked_at: datetime = UNTIMED


def check_field_names(fields: Iterable[str], stored: Iterable[str]) -> None:
    """Refuse fields that can't be columns of a data table.

    :raises FieldNameError: see there; Delta tables tell no case apart
    """
    for field, reason in unstorable(fields, stored).items():
        raise FieldNameError(f"field {field!r} can't be stored: {reason}; leave it out of `fields`")


def unstorable(fields: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """Name the fields that can't be columns of a data table, and why; of two that differ only in case, the later one.

    :param stored: columns that the table has
    """
    known = {name.lower(): name for name in stored if name.lower() not in RESERVED}
    found = {}
    for field in fields:
        if field.lower() in RESERVED:
            found[field] = f"the tables have columns of their own by the names {', '.join(sorted(RESERVED))}"
        elif known.setdefault(field.lower(), field) != field:
            found[field] = (
                f"it differs only in case from {known[field.lower()]!r}, which a Delta table can't hold"
            )
    return found


def micros(instant: datetime) -> int:
    """Return microseconds since 1970, as the tables count."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant_of(value: int) -> datetime:
    """Return the UTC instant of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


@dataclass(frozen=True, slots=True)
class Scope:
    """All that was asked, by entity; entities asked alike share a signature, and masks are made once."""

    fields: tuple[str, ...]
    entities: tuple[int, ...]
    sites: Mapping[int, int]
    zones: Mapping[int, str]
    signature_of: Mapping[int, int]
    signatures: tuple[Mapping[str, Windows], ...]

    @classmethod
    def of(cls, asked: Iterable[Asked]) -> Scope:
        """Bring the windows of each entity's field together: slices of one field are one window."""
        windows: dict[int, dict[str, list[tuple[int, int]]]] = {}
        sites: dict[int, int] = {}
        zones: dict[int, str] = {}
        for one in asked:
            span = (micros(one.start), micros(one.end))
            of_entity = windows.setdefault(one.entity_id, {})
            sites[one.entity_id], zones[one.entity_id] = one.site_id, one.zone
            for field in one.fields:
                of_entity.setdefault(field, []).append(span)
        found: dict[tuple[tuple[str, Windows], ...], int] = {}
        signature_of: dict[int, int] = {}
        united: dict[tuple[tuple[int, int], ...], Windows] = {}
        for entity, by_field in windows.items():
            signature = []
            for field in sorted(by_field):
                spans = tuple(by_field[field])
                if spans not in united:
                    united[spans] = _united(spans)
                if united[spans]:
                    signature.append((field, united[spans]))
            signature_of[entity] = found.setdefault(tuple(signature), len(found))
        fields = sorted({field for signature in found for field, _ in signature})
        entities = sorted(entity for entity in windows)
        return cls(
            tuple(fields), tuple(entities), sites, zones, signature_of, tuple(dict(items) for items in found)
        )

    def span(self) -> tuple[int, int]:
        """Return the first and the last instant of all windows, microseconds, half-open."""
        spans = [span for signature in self.signatures for windows in signature.values() for span in windows]
        return min(start for start, _ in spans), max(end for _, end in spans)

    def windows(self, entity: int) -> Mapping[str, Windows]:
        """Return the windows of an entity's fields."""
        return self.signatures[self.signature_of[entity]]


@dataclass(frozen=True, slots=True)
class Masks:
    """For the rows of one chunk, which of their fields were asked at their instants.

    :param entity: each row's place in ``entities``, which are all asked
    :param ts: each row's instant in microseconds
    """

    scope: Scope
    entities: Sequence[int]
    entity: pa.Array
    ts: pa.Array

    def all(self) -> list[pa.Array | bool]:
        """Return a mask for each field of the scope: an array, or one value where all rows are alike."""
        if not len(self.ts):
            return [False for _ in self.scope.fields]
        signatures = sorted({self.scope.signature_of[entity] for entity in self.entities})
        places = {signature: place for place, signature in enumerate(signatures)}
        bounds = pc.min_max(self.ts).as_py()
        row_signature: pa.Array | None = None
        made: dict[tuple[Windows, ...], pa.Array | bool] = {}
        masks: list[pa.Array | bool] = []
        for field in self.scope.fields:
            windows = tuple(self.scope.signatures[signature].get(field, ()) for signature in signatures)
            if windows not in made:
                if len(set(windows)) == 1:
                    made[windows] = self._alike(windows[0], bounds["min"], bounds["max"])
                else:
                    if row_signature is None:
                        row_signature = pa.array(
                            [places[self.scope.signature_of[entity]] for entity in self.entities], pa.int32()
                        ).take(self.entity)
                    made[windows] = self._mixed(windows, row_signature)
            masks.append(made[windows])
        return masks

    def _alike(self, windows: Windows, first: int, last: int) -> pa.Array | bool:
        inside = [(start, end) for start, end in windows if start <= last and first < end]
        if not inside:
            return False
        if inside[0][0] <= first and last < inside[0][1]:
            return True
        mask = None
        for start, end in inside:
            part = pc.and_(pc.greater_equal(self.ts, start), pc.less(self.ts, end))
            mask = part if mask is None else pc.or_(mask, part)
        return mask

    def _mixed(self, windows: tuple[Windows, ...], row_signature: pa.Array) -> pa.Array:
        mask = None
        for nth in range(max(len(spans) for spans in windows)):
            bounds = [spans[nth] if nth < len(spans) else NEVER for spans in windows]
            starts = pa.array([start for start, _ in bounds], pa.int64()).take(row_signature)
            ends = pa.array([end for _, end in bounds], pa.int64()).take(row_signature)
            part = pc.and_(pc.greater_equal(self.ts, starts), pc.less(self.ts, ends))
            mask = part if mask is None else pc.or_(mask, part)
        return mask


def _united(spans: Iterable[tuple[int, int]]) -> Windows:
    whole: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], end))
        else:
            whole.append((start, end))
    return tuple(whole)
