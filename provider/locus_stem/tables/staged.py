"""Reading staged parts: many Parquet files with different field columns, as one table that is read in chunks.

A chunk has the columns ``entity`` (place in the chunk's entities), ``ts`` (int64 microseconds),
``local_date`` and the fields under their places in the list of fields ("0", "1", …), since a field's name
is free text. It is sorted by entity and ts and has one row for each: rows of several field groups are put
together, a later value wins.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from locus_stem.tables.asked import instant_of
from locus_stem.tables.schemas import INSTANT
from locus_stem.tables.storage_failures import storage_failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from locus_stem.tables.lake import Lake

__all__ = ["EntityChunk", "StagedRows", "chunks_of", "keyed"]

# A row's key is one int64: with 4,096 entities it holds 70 years in microseconds.
CHUNK_ENTITIES = 4096
FOOTER_READERS = 16


@dataclass(frozen=True, slots=True)
class EntityChunk:
    """A range of entity ids, both ends included, and the asked entities in it."""

    first: int
    last: int
    entities: tuple[int, ...]


class StagedRows:
    """The rows of staged parts, of which only the footers stay in memory.

    :raises locus_stem.tables.lake.LakeUnavailableError: here, and as rows are read: the storage fails
    """

    def __init__(self, lake: Lake, parts: Sequence[str], fields: Sequence[str]) -> None:
        self._uri = lake.uri
        file_format = ds.ParquetFileFormat()

        def opened(part: str) -> ds.ParquetFileFragment:
            fragment = file_format.make_fragment(base + part.removeprefix(lake.uri), filesystem)
            fragment.ensure_complete_metadata()
            return fragment

        with lake.files() as (filesystem, base), ThreadPoolExecutor(FOOTER_READERS) as readers:
            fragments = list(readers.map(opened, parts))
        present = {name for fragment in fragments for name in fragment.physical_schema.names}
        self.fields = tuple(fields)
        self._present = [field in present for field in fields]
        schema = pa.schema(
            [
                pa.field("entity_id", pa.int64()),
                pa.field("ts", INSTANT),
                pa.field("local_date", pa.date32()),
                *(pa.field(field, pa.float64()) for field in fields),
            ]
        )
        self._dataset = ds.FileSystemDataset(fragments, schema, file_format, filesystem)

    def counts(self, entities: Sequence[int]) -> dict[date, dict[int, int]]:
        """Return the number of rows of each month (its first day) and each of the entities."""
        known = set(entities)
        totals: dict[date, dict[int, int]] = {}
        scanner = self._dataset.scanner(
            columns={"entity": pc.field("entity_id"), "day": pc.field("local_date")},
            batch_readahead=4,
            fragment_readahead=2,
        )
        with storage_failures(self._uri):
            for batch in scanner.to_batches():
                if not batch.num_rows:
                    continue
                months = pc.floor_temporal(batch.column("day"), unit="month")
                rows = pa.table({"month": months, "entity": batch.column("entity")})
                counted = rows.group_by(["month", "entity"]).aggregate([([], "count_all")])
                for month, entity, number in zip(
                    *(column.to_pylist() for column in counted.columns), strict=True
                ):
                    if entity in known:
                        of_month = totals.setdefault(month, {})
                        of_month[entity] = of_month.get(entity, 0) + number
        return totals

    def read(self, chunk: EntityChunk, since: int | None = None, until: int | None = None) -> pa.Table:
        """Return the chunk's rows with since <= ts < until (microseconds)."""
        condition = (pc.field("entity_id") >= chunk.first) & (pc.field("entity_id") <= chunk.last)
        if since is not None:
            condition &= pc.field("ts") >= pa.scalar(instant_of(since), INSTANT)
        if until is not None:
            condition &= pc.field("ts") < pa.scalar(instant_of(until), INSTANT)
        columns = {"id": pc.field("entity_id"), "at": pc.field("ts"), "local_date": pc.field("local_date")}
        columns |= {
            str(place): pc.field(field) for place, field in enumerate(self.fields) if self._present[place]
        }
        with storage_failures(self._uri):
            rows = self._dataset.to_table(
                columns=columns, filter=condition, batch_readahead=4, fragment_readahead=2
            )
        rows = keyed(rows, chunk.entities)
        for place, present in enumerate(self._present):
            if not present:
                rows = rows.append_column(str(place), pa.nulls(len(rows), pa.float64()))
            elif pc.any(pc.is_nan(rows.column(str(place)))).as_py():  # no number is no value
                rows = _without_nan(rows, str(place))
        rows = rows.select(["entity", "ts", "local_date", *map(str, range(len(self.fields)))])
        return _one_row_a_key(rows)


def keyed(rows: pa.Table, entities: Sequence[int]) -> pa.Table:
    """Put ``entity`` and ``ts`` in the place of ``id`` and ``at``; rows of other entities are left out."""
    rows = rows.combine_chunks()
    places = pc.index_in(rows.column("id"), pa.array(entities, pa.int64()))
    rows = rows.append_column("entity", places).append_column("ts", rows.column("at").cast(pa.int64()))
    if places.null_count:
        rows = rows.filter(places.is_valid())
    return rows.drop_columns(["id", "at"]).combine_chunks()


def row_keys(rows: pa.Table, since: int, span: int) -> pa.Array:
    """Return one int64 for (entity, ts), ordered as they are: entity x span + ts - since."""
    key = pc.add(
        pc.multiply(rows.column("entity").cast(pa.int64()), span), pc.subtract(rows.column("ts"), since)
    )
    return key.combine_chunks()


def chunks_of(
    weights: Mapping[int, int], entities: Sequence[int], rows: int, limit: int = CHUNK_ENTITIES
) -> Iterator[EntityChunk]:
    """Cut entities into ranges of about ``rows`` rows each and at most ``limit`` entities.

    :param weights: rows of an entity; may hold more entities than those asked, in increasing order or not
    """
    chosen = set(entities)
    current: list[int] = []
    held = 0
    for entity in sorted(chosen | set(weights)):
        weight = weights.get(entity, 0)
        if current and (held + weight > rows or len(current) == limit):
            yield EntityChunk(current[0], current[-1], tuple(e for e in current if e in chosen))
            current, held = [], 0
        current.append(entity)
        held += weight
    if current:
        yield EntityChunk(current[0], current[-1], tuple(e for e in current if e in chosen))


def bounds(ts: pa.ChunkedArray | pa.Array) -> tuple[int, int]:
    """Return the first instant and the length of the span that holds all of them; (0, 1) for none."""
    ends = pc.min_max(ts).as_py()
    return (0, 1) if ends["min"] is None else (ends["min"], ends["max"] - ends["min"] + 1)


def _one_row_a_key(rows: pa.Table) -> pa.Table:
    if len(rows) < 2:
        return rows
    key = row_keys(rows, *bounds(rows.column("ts")))
    if not _increases(key):
        order = pc.sort_indices(key)  # stable: rows of one key stay in the order in which they were staged
        key, rows = key.take(order), rows.take(order)
    if pc.any(pc.equal(key.slice(1), key.slice(0, len(key) - 1))).as_py():
        names = rows.column_names
        # "last" is the last value that isn't null: rows of disjoint field groups are put together by it.
        grouped = rows.append_column("key", key).group_by("key", use_threads=False)
        rows = grouped.aggregate([(name, "last") for name in names])
        rows = rows.select([f"{name}_last" for name in names]).rename_columns(names)
    return rows.combine_chunks()


def _without_nan(rows: pa.Table, name: str) -> pa.Table:
    column = rows.column(name)
    numbers = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    return rows.set_column(rows.column_names.index(name), name, numbers)


def _increases(key: pa.Array) -> bool:
    return bool(pc.all(pc.greater_equal(key.slice(1), key.slice(0, len(key) - 1))).as_py())


def next_month(month: date) -> date:
    """Return the first day of the month after the one that begins on ``month``."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
