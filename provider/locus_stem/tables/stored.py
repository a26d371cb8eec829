"""Reading a data table's stored rows: one granularity, pruned by month, entities and instants."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from locus_stem.tables.asked import instant_of
from locus_stem.tables.schemas import INSTANT, SPECS
from locus_stem.tables.sql import where
from locus_stem.tables.staged import EntityChunk, keyed, next_month

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake

__all__ = ["StoredRows"]


class StoredRows:
    """One state of a data table, at one granularity. Nothing is read before it is asked for.

    :param fields: the fields to compare; one that the table doesn't have yet is null
    """

    def __init__(
        self, lake: Lake, table: DeltaTable, name: str, granularity: str, fields: Sequence[str]
    ) -> None:
        self._lake, self._table, self._name = lake, table, name
        self._granularity, self._fields = granularity, fields
        # Opened once: a stream that is being written can't start deltalake's runtime again to list files.
        self._datasets: dict[tuple[date, ...], ds.Dataset] = {}
        self.key = SPECS[name].key[0]
        self.schema = pa.schema(table.schema().to_arrow())

    def months(self, first: date, last: date) -> set[date]:
        """Return the months that have a partition, from that of ``first`` to that of ``last``."""
        found = {
            date.fromisoformat(partition["month"])
            for partition in self._table.partitions()
            if partition["granularity"] == self._granularity
        }
        return {month for month in found if first.replace(day=1) <= month <= last}

    def counts(self, month: date, chunk: EntityChunk, since: int | None, until: int | None) -> dict[int, int]:
        """Return the number of rows of each entity in a range of entities and a window (microseconds)."""
        totals: dict[int, int] = {}
        scanner = self._months(month).scanner(
            columns={"entity": pc.field(self.key)},
            filter=self._condition(chunk, since, until),
            batch_readahead=4,
            fragment_readahead=2,
        )
        for batch in scanner.to_batches():
            for pair in pc.value_counts(batch.column("entity")).to_pylist():
                totals[pair["values"]] = totals.get(pair["values"], 0) + pair["counts"]
        return totals

    def read(self, month: date, chunk: EntityChunk, since: int, until: int) -> pa.Table:
        """Return the chunk's rows: entity, ts, local_date and the fields by their places."""
        columns = {"local_date": pc.field("local_date")}
        for place, field in enumerate(self._fields):
            columns[str(place)] = pc.field(field) if field in self.schema.names else pc.scalar(None)
        rows = self._keyed(self._months(month), chunk, since, until, columns)
        return rows.select(["entity", "ts", "local_date", *map(str, range(len(self._fields)))]).cast(
            self.none().schema
        )

    def elsewhere(self, month: date, chunk: EntityChunk, since: int, until: int) -> pa.Table:
        """Return the keys (entity, ts) of the window that the neighbouring months' partitions hold.

        A site's zone may have been another when a row was first loaded: the row keeps its local date and
        partition.
        """
        before = (month.replace(day=1) - date.resolution).replace(day=1)
        return self._keyed(self._months(before, next_month(month)), chunk, since, until, {})

    def whole(self, month: date, chunk: EntityChunk) -> pa.Table:
        """Return all columns of all rows of a range of entities, asked or not."""
        return self._months(month).to_table(
            filter=self._condition(chunk, None, None), batch_readahead=4, fragment_readahead=2
        )

    def none(self) -> pa.Table:
        """Return no rows, as ``read`` does."""
        return pa.schema(
            [
                pa.field("entity", pa.int32()),
                pa.field("ts", pa.int64()),
                pa.field("local_date", pa.date32()),
                *(pa.field(str(place), pa.float64()) for place in range(len(self._fields))),
            ]
        ).empty_table()

    def _keyed(
        self,
        dataset: ds.Dataset,
        chunk: EntityChunk,
        since: int,
        until: int,
        columns: dict[str, pc.Expression],
    ) -> pa.Table:
        rows = dataset.to_table(
            columns={"id": pc.field(self.key), "at": pc.field("ts"), **columns},
            filter=self._condition(chunk, since, until),
            batch_readahead=4,
            fragment_readahead=2,
        )
        return keyed(rows, chunk.entities)

    def _condition(self, chunk: EntityChunk, since: int | None, until: int | None) -> pc.Expression:
        condition = (pc.field(self.key) >= chunk.first) & (pc.field(self.key) <= chunk.last)
        if since is not None:
            condition &= pc.field("ts") >= pa.scalar(instant_of(since), INSTANT)
        if until is not None:
            condition &= pc.field("ts") < pa.scalar(instant_of(until), INSTANT)
        return condition

    def _months(self, *months: date) -> ds.Dataset:
        if months in self._datasets:
            return self._datasets[months]
        pruning = where([("granularity", "=", self._granularity), ("month", "in", months)])
        return self._datasets.setdefault(months, self._lake.dataset(self._table, self._name, pruning))
