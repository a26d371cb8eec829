"""Comparing staged rows with stored ones: pure functions over Arrow tables, one chunk of entities at a time.

Tables here have the columns of staged chunks: ``entity``, ``ts``, ``local_date`` and fields by their
places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables.asked import Masks, Scope
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.staged import EntityChunk, row_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Difference", "difference", "in_scope"]

Mask: TypeAlias = "pa.Array | bool"
NO_NUMBER = pa.scalar(None, pa.float64())


@dataclass(frozen=True, slots=True)
class Difference:
    """What a load must do to a chunk: rows to insert, rows to update with all fields, and the counts."""

    inserts: pa.Table
    updates: pa.Table
    counts: LoadCounts


def in_scope(scope: Scope, entities: Sequence[int], rows: pa.Table) -> tuple[pa.Table, list[Mask]]:
    """Leave out rows of which nothing was asked, and make values null that were not asked."""
    masks = _masks(scope, entities, rows)
    any_asked = _any(masks)
    if any_asked is not True:
        if any_asked is False:
            return rows.slice(0, 0), masks
        rows = rows.filter(any_asked).combine_chunks()
        masks = [mask if isinstance(mask, bool) else mask.filter(any_asked) for mask in masks]
    for place, mask in enumerate(masks):
        if mask is not True:
            values = pc.if_else(mask, rows.column(str(place)), NO_NUMBER)
            rows = rows.set_column(rows.column_names.index(str(place)), str(place), values)
    return rows, masks


def difference(
    scope: Scope,
    chunk: EntityChunk,
    staged: pa.Table,
    stored: pa.Table,
    elsewhere: pa.Table,
    span: tuple[int, int],
) -> Difference:
    """Compare a chunk's staged rows with the stored ones.

    :param staged: rows that may belong here; of those that aren't stored only ones with ``here`` true are
        inserted
    :param stored: the partition's rows in the window
    :param elsewhere: keys (entity, ts) stored in neighbouring partitions, which are left alone here
    :param span: first instant and length of a span that holds all rows' instants, microseconds
    """
    names = [str(place) for place in range(len(scope.fields))]
    staged, masks = in_scope(scope, chunk.entities, staged)
    staged_key, stored_key = row_keys(staged, *span), row_keys(stored, *span)
    found = pc.index_in(staged_key, stored_key)

    fresh = pc.and_(found.is_null(), staged.column("here").combine_chunks())
    if len(elsewhere):
        fresh = pc.and_not(fresh, pc.is_in(staged_key, row_keys(elsewhere, *span)))
    inserts = staged.filter(fresh).select(["entity", "ts", "local_date", *names])

    after, before = staged, stored.take(found)
    if found.null_count:
        after, before = staged.filter(found.is_valid()), stored.take(found.drop_null())
        masks = _masks(scope, chunk.entities, after)
    updated, changed, emptied = _updated(before, after, masks)

    vanished = stored.slice(0, 0)
    if len(after) < len(stored):
        vanished = stored.filter(pc.invert(pc.is_in(stored_key, staged_key)))
    nulls = pa.table({name: pa.nulls(len(vanished), pa.float64()) for name in names})
    withdrawn, _, gone = _updated(vanished, nulls, _masks(scope, chunk.entities, vanished))

    counts = LoadCounts(
        new=len(inserts), changed=changed, unchanged=len(after) - changed - emptied, withdrawn=emptied + gone
    )
    return Difference(inserts, pa.concat_tables([updated, withdrawn]), counts)


def _updated(before: pa.Table, after: pa.Table, masks: Sequence[Mask]) -> tuple[pa.Table, int, int]:
    """Return rows that differ, with new values, how many changed and how many lost all asked values."""
    if not len(before):
        return before, 0, 0
    differs: Mask = False
    left: Mask = False
    columns = {name: before.column(name) for name in ("entity", "ts", "local_date")}
    for place, mask in enumerate(masks):
        name = str(place)
        old, new = before.column(name), after.column(name)
        columns[name] = old
        if mask is False:
            continue
        # A comparison with null is null: it differs where only one of both is.
        other = pc.coalesce(pc.not_equal(old, new), pc.xor(old.is_null(), new.is_null()))
        differs = _or(differs, _and(mask, other))
        left = _or(left, _and(mask, new.is_valid()))
        columns[name] = new if mask is True else pc.if_else(mask, new, old)
    if differs is False:
        return before.slice(0, 0), 0, 0
    rows = pa.table(columns).filter(differs).combine_chunks()
    kept = pc.sum(pc.and_(differs, left)).as_py() or 0 if not isinstance(left, bool) else 0
    return rows, kept, len(rows) - kept


def _masks(scope: Scope, entities: Sequence[int], rows: pa.Table) -> list[Mask]:
    ts = rows.column("ts").combine_chunks()
    return Masks(scope, entities, rows.column("entity").combine_chunks(), ts).all()


def _any(masks: Sequence[Mask]) -> Mask:
    whole: Mask = False
    for mask in masks:
        whole = _or(whole, mask)
    return whole


def _or(one: Mask, other: Mask) -> Mask:
    if one is True or other is True:
        return True
    if one is False:
        return other
    return one if other is False else pc.or_(one, other)


def _and(one: Mask, other: Mask) -> Mask:
    if one is False or other is False:
        return False
    if one is True:
        return other
    return one if other is True else pc.and_(one, other)
