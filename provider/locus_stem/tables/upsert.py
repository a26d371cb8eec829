"""Exact writing of keyed tables: rows are compared with the stored ones, only differences committed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables import commit
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.rows import with_values
from locus_stem.tables.schemas import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltalake import DeltaTable, Transaction

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["different", "upsert", "upsert_into"]

DELETED = "__deleted"


def upsert(
    lake: Lake,
    name: str,
    rows: pa.Table,
    *,
    among: Sequence[Filter] = (),
    delete_others: bool = False,
    transactions: Sequence[Transaction] = (),
    before: Callable[[pa.Table], None] | None = None,
) -> LoadCounts:
    """Insert rows whose key is new and update those that differ; columns that ``rows`` lacks stay.

    :param rows: one row a key, its columns of the table's types; a column that the table lacks is added
    :param among: the stored rows to compare with; all rows' keys must meet it
    :param delete_others: delete the stored rows that are ``among`` these and aren't in ``rows``
    :param transactions: application transactions of the commit; with them there is a commit even without a
        change
    :param before: is told the rows that are stored with other values, before these are replaced
    :returns: deleted rows are counted as withdrawn
    """

    def work(table: DeltaTable) -> LoadCounts:
        return upsert_into(
            lake, table, name, rows,
            among=among, delete_others=delete_others, transactions=transactions, before=before,
        )  # fmt: skip

    return commit.exclusively(lake, name, work)


def upsert_into(
    lake: Lake,
    table: DeltaTable,
    name: str,
    rows: pa.Table,
    *,
    among: Sequence[Filter] = (),
    delete_others: bool = False,
    transactions: Sequence[Transaction] = (),
    before: Callable[[pa.Table], None] | None = None,
) -> LoadCounts:
    """Do as ``upsert`` on one state of the table, which a caller has read before; see there."""
    key = list(SPECS[name].key)
    values = [column for column in rows.column_names if column not in key]
    stored = _stored(lake, table, rows, among, None if delete_others else key[0])
    pairs = _matched(rows.select(key), stored.select(key))
    changed = _changed(rows, stored, pairs, values)
    inserted = _others(rows, pairs.column("given"))
    deleted = _others(stored, pairs.column("stored")) if delete_others else stored.slice(0, 0)
    counts = LoadCounts(len(inserted), len(changed), len(pairs) - len(changed), len(deleted))

    if before is not None:
        before(changed)
    if len(changed) or len(deleted):
        source = pa.concat_tables([changed, inserted])
        if delete_others:
            source = pa.concat_tables([_marked(source, False), _marked(deleted, True)])
        commit.merge(
            table,
            source,
            key=key,
            update=values,
            insert=rows.column_names,
            among=among,
            deletions=DELETED if delete_others else None,
            transactions=transactions,
        )
    elif len(inserted) or transactions:
        # A merge without a change drops its transactions; an append of no rows carries them.
        commit.append(table, inserted, transactions)
    else:
        return counts
    return counts + LoadCounts(versions={"": table.version()})


def _stored(
    lake: Lake, table: DeltaTable, rows: pa.Table, among: Sequence[Filter], of: str | None
) -> pa.Table:
    """Read what is stored of the rows' columns; a column that the table lacks is null.

    :param of: a column of which only rows with a value that the rows have are read: of a wide range most others
        would be for nothing; None: all
    """
    schema = pa.schema(table.schema().to_arrow())
    known = [column for column in rows.column_names if column in schema.names]
    batches, kinds = lake.batches(table, known, among)
    if of is not None:
        ids = rows.column(of).combine_chunks()
        batches = (with_values(batch, of, ids) for batch in batches)
    stored = pa.Table.from_batches(batches, kinds)
    for column in rows.column_names:
        if column not in known:
            stored = stored.append_column(column, pa.nulls(len(stored), rows.schema.field(column).type))
    return stored


def _changed(rows: pa.Table, stored: pa.Table, pairs: pa.Table, values: Sequence[str]) -> pa.Table:
    """Return the rows that are stored with other values."""
    old = stored.take(pairs.column("stored"))
    new = rows.take(pairs.column("given"))
    differs = pa.nulls(len(new), pa.bool_()).fill_null(False)
    for column in values:
        differs = pc.or_(differs, different(new.column(column), old.column(column)))
    return new.filter(differs)


def different(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return where two columns differ; null differs from every value and not from null."""
    if pa.types.is_nested(one.type):  # arrow compares no lists
        one = pa.chunked_array([[None if v is None else json.dumps(v) for v in one.to_pylist()]], pa.string())
        other = pa.chunked_array(
            [[None if v is None else json.dumps(v) for v in other.to_pylist()]], pa.string()
        )
    return pc.coalesce(pc.not_equal(one, other), pc.xor(one.is_null(), other.is_null()))


def _matched(given: pa.Table, stored: pa.Table) -> pa.Table:
    """Return the places (given, stored) of rows with the same key."""
    left = given.append_column("given", pa.array(range(len(given)), pa.int64()))
    right = stored.append_column("stored", pa.array(range(len(stored)), pa.int64()))
    found = left.join(right, given.column_names, join_type="inner").sort_by("given")
    return found.select(["given", "stored"])


def _others(rows: pa.Table, places: pa.ChunkedArray) -> pa.Table:
    at = pa.array(range(len(rows)), pa.int64())
    return rows.filter(pc.invert(pc.is_in(at, places.combine_chunks())))


def _marked(rows: pa.Table, deleted: bool) -> pa.Table:
    return rows.append_column(DELETED, pa.repeat(deleted, len(rows)))
