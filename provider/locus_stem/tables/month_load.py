"""One commit: the rows of a range of entities in one month's partition of a data table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables import commit
from locus_stem.tables.asked import Scope, check_field_names, micros
from locus_stem.tables.compare import Difference, difference
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.schemas import INSTANT, SPECS
from locus_stem.tables.sql import where
from locus_stem.tables.staged import EntityChunk, StagedRows, chunks_of, next_month, row_keys
from locus_stem.tables.stored import StoredRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.limits import Limits

__all__ = ["MonthLoad"]

# No zone was ever further from UTC: a local month's instants are in its UTC month and a day on each side.
ZONES = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MonthLoad:
    """What ``run`` needs, so that it can be done again on a newer state of the table.

    :param weights: the staged rows of each entity in this month
    """

    lake: Lake
    table: str
    granularity: str
    month: date
    scope: Scope
    staged: StagedRows
    weights: Mapping[int, int]
    entities: EntityChunk
    limits: Limits

    def run(self, table: DeltaTable) -> LoadCounts:
        """Compare with this state of the table and commit what differs, if anything does."""
        check_field_names(self.scope.fields, (column.name for column in table.schema().fields))
        stored = StoredRows(self.lake, table, self.table, self.granularity, self.scope.fields)
        weights = {entity: n for entity, n in self.weights.items() if self._holds(entity)}
        there = stored.counts(self.month, self.entities, *self._window())
        if not there and not len(stored.elsewhere(self.month, self.entities, *self._window())):
            return self._fill(table, stored, weights)
        for entity, rows in there.items():
            weights[entity] = weights.get(entity, 0) + rows
        counts, inserts, updates = LoadCounts(), [], []
        for chunk in chunks_of(weights, self.entities.entities, self.limits.chunk_rows):
            found = self._difference(stored, chunk)
            counts += found.counts
            inserts.append(self._rows(found.inserts, chunk))
            updates.append(self._rows(found.updates, chunk))
            if sum(map(len, inserts)) + sum(map(len, updates)) > self.limits.merge_rows:
                del inserts, updates
                return self._rewrite(table, stored)
        if any(map(len, updates)):
            self._merge(table, pa.concat_tables([*updates, *inserts]))
        elif any(map(len, inserts)):
            commit.append(table, pa.concat_tables(inserts))
        else:
            return counts
        return counts + self._committed(table)

    def _fill(self, table: DeltaTable, stored: StoredRows, weights: Mapping[int, int]) -> LoadCounts:
        """Append to a window that holds nothing, as a stream."""
        new = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal new
            for chunk in chunks_of(
                weights,
                [entity for entity in self.entities.entities if entity in weights],
                self.limits.chunk_rows,
            ):
                found = difference(
                    self.scope, chunk, self._staged(chunk), stored.none(), stored.none(), self._key_span()
                )
                new += len(found.inserts)
                yield from self._rows(found.inserts, chunk).to_batches()

        if not self._stream(batches(), lambda reader: commit.append(table, reader)):
            return LoadCounts()
        return LoadCounts(new=new) + self._committed(table)

    def _merge(self, table: DeltaTable, rows: pa.Table) -> None:
        key = SPECS[self.table].key
        commit.merge(
            table,
            rows,
            key=[key[0], "ts"],
            update=self.scope.fields,
            insert=rows.column_names,
            among=[("granularity", "=", self.granularity), ("month", "=", self.month)],
        )

    def _rewrite(self, table: DeltaTable, stored: StoredRows) -> LoadCounts:
        """Write the month anew for this range of entities: stored rows with their changes, and new ones."""
        counts = LoadCounts()
        weights = stored.counts(self.month, self.entities, None, None)
        for entity, rows in self.weights.items():
            if self._holds(entity):
                weights[entity] = weights.get(entity, 0) + rows

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal counts
            for chunk in chunks_of(weights, self.entities.entities, self.limits.chunk_rows):
                found = self._difference(stored, chunk)
                counts += found.counts
                rows = self._with_updates(stored.whole(self.month, chunk), found.updates, chunk)
                inserts = self._rows(found.inserts, chunk)
                whole = pa.concat_tables([rows, inserts], promote_options="default").select(rows.column_names)
                yield from whole.combine_chunks().to_batches()

        predicate = where(
            [
                ("granularity", "=", self.granularity),
                ("month", "=", self.month),
                (stored.key, ">=", self.entities.first),
                (stored.key, "<=", self.entities.last),
            ]
        )
        self._stream(batches(), lambda reader: commit.rewrite(table, reader, str(predicate)))
        return counts + self._committed(table)

    def _with_updates(self, rows: pa.Table, updates: pa.Table, chunk: EntityChunk) -> pa.Table:
        entities = pc.index_in(rows.column(SPECS[self.table].key[0]), pa.array(chunk.entities, pa.int64()))
        keys = pa.table({"entity": entities, "ts": rows.column("ts").cast(pa.int64())})  # null: wasn't asked
        places = pc.index_in(
            row_keys(keys, *self._key_span()), value_set=row_keys(updates, *self._key_span()), skip_nulls=True
        )
        for place, field in enumerate(self.scope.fields):
            new = updates.column(str(place)).take(places)
            if field not in rows.column_names:
                rows = rows.append_column(field, new)
                continue
            values = pc.if_else(places.is_valid(), new, rows.column(field))
            rows = rows.set_column(rows.column_names.index(field), field, values)
        return rows

    def _difference(self, stored: StoredRows, chunk: EntityChunk) -> Difference:
        window = self._window()
        return difference(
            self.scope,
            chunk,
            self._staged(chunk),
            stored.read(self.month, chunk, *window),
            stored.elsewhere(self.month, chunk, *window),
            self._key_span(),
        )

    def _staged(self, chunk: EntityChunk) -> pa.Table:
        rows = self.staged.read(chunk, *self._window())
        day = rows.column("local_date")
        here = pc.and_(pc.greater_equal(day, self.month), pc.less(day, next_month(self.month)))
        return rows.append_column("here", here).combine_chunks()

    def _rows(self, rows: pa.Table, chunk: EntityChunk) -> pa.Table:
        """Return rows as the table has them."""
        ids = pa.array(chunk.entities, pa.int64()).take(rows.column("entity").combine_chunks())
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            SPECS[self.table].key[0]: ids,
            "granularity": pa.repeat(self.granularity, len(rows)),
            "ts": rows.column("ts").cast(INSTANT),
        }
        if SPECS[self.table].key[0] != "site_id":
            sites = pa.array([self.scope.sites[entity] for entity in chunk.entities], pa.int64())
            columns["site_id"] = sites.take(rows.column("entity").combine_chunks())
        columns["local_date"] = rows.column("local_date")
        columns["month"] = pa.repeat(pa.scalar(self.month, pa.date32()), len(rows))
        columns |= {field: rows.column(str(place)) for place, field in enumerate(self.scope.fields)}
        return pa.table(columns)

    def _stream(self, batches: Iterable[pa.RecordBatch], write: object) -> bool:
        rest = iter(batches)
        first = next(rest, None)
        if first is None:
            return False
        write(pa.RecordBatchReader.from_batches(first.schema, chain([first], rest)))  # type: ignore[operator]
        return True

    def _committed(self, table: DeltaTable) -> LoadCounts:
        return LoadCounts(versions={self.month.isoformat(): table.version()})

    def _holds(self, entity: int) -> bool:
        return self.entities.first <= entity <= self.entities.last

    def _window(self) -> tuple[int, int]:
        """Return the instants (microseconds, half-open) at which the month's asked rows can be."""
        first, last = self.scope.span()
        start = datetime(self.month.year, self.month.month, 1, tzinfo=UTC) - ZONES
        following = next_month(self.month)
        end = datetime(following.year, following.month, 1, tzinfo=UTC) + ZONES
        return max(first, micros(start)), min(last, micros(end))

    def _key_span(self) -> tuple[int, int]:
        """Return the first instant and the length of a span that holds every row of the partition."""
        start = datetime(self.month.year, self.month.month, 1, tzinfo=UTC) - ZONES
        return micros(start), micros(start + timedelta(days=33)) - micros(start)
