"""Exact loading of Stem's streams: the table then equals the answers for the sites, streams and windows asked.

A series is one stream of one site. It has a number, by which staged rows, comparison and coverage know it as those of
measurements know an entity. Each month is one commit: only rows that are new, changed or withdrawn are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables import commit
from locus_stem.tables.asked import UNTIMED, Asked, Scope, instant_of, micros
from locus_stem.tables.compare import in_scope
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.limits import LIMITS, Limits
from locus_stem.tables.schemas import INSTANT, SPECS
from locus_stem.tables.sql import where
from locus_stem.tables.staged import EntityChunk, StagedRows, chunks_of, next_month, row_keys
from locus_stem.tables.upsert import different

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["LEAD", "TABLE", "VALUE", "load_streams", "series_asked"]

TABLE = "stem_streams"
SCHEMA = SPECS[TABLE].schema()
KEY = ("site_id", "stream_type", "end_datetime")
VALUE = "kw_total_avg"
#: Staged beside the value: microseconds from start_datetime, as answered, to end_datetime.
LEAD = "lead"
#: Rows that are made texts of at a time.
WRITTEN_ROWS = 131_072
#: Rows of series as they are compared: the columns of staged rows, value and lead by their places.
_VALUE, _LEAD = "0", "1"
_NUMBERED = pa.schema(
    [("entity", pa.int64()), ("ts", pa.int64()), (_VALUE, pa.float64()), (_LEAD, pa.float64())]
)
#: Rows of the table that wait in memory: each text once.
_COMPACT = pa.schema(
    [
        pa.field(
            field.name,
            pa.dictionary(pa.int32(), field.type) if pa.types.is_string(field.type) else field.type,
        )
        for field in SCHEMA
    ]
)


def series_asked(series: int, start: datetime, end: datetime, asked_at: datetime = UNTIMED) -> Asked:
    """Say that a series was asked for start < end_datetime <= end: its intervals begin in [start, end)."""
    return Asked(series, series, "UTC", (VALUE,), start, end, asked_at)


def load_streams(
    lake: Lake,
    resolution: int,
    parts: Sequence[str],
    asked: Sequence[Asked],
    names: Mapping[int, tuple[str, str]],
    limits: Limits = LIMITS,
) -> LoadCounts:
    """Bring the table to what was answered for exactly these series, resolution and windows.

    New rows are inserted, changed ones updated; the value of one that is no longer answered becomes null (its row is
    kept); everything else stays. The same load again changes nothing and makes no commit.

    :param resolution: seconds
    :param parts: URIs of staged Parquet files: entity_id int64 (the series), ts timestamp[us, UTC] (end_datetime less
        the resolution), local_date date32 (UTC date of ts), kw_total_avg and lead float64
    :param asked: made by ``series_asked``
    :param names: (site_id, stream_type) of each series; they are numbered in the order of their sites' ids
    :raises CommitConflictError: other writers kept changing the table
    """
    scope = Scope.of(asked)
    if not scope.fields:
        return LoadCounts()
    staged, series = StagedRows(lake, parts, (VALUE, LEAD)), _Series(names)
    start, end = scope.span()
    first, last = (instant_of(at).date().replace(day=1) for at in (start, end - 1))
    stored = commit.exclusively(lake, TABLE, _months)
    total = LoadCounts()
    for month in sorted(stored | staged.counts(scope.entities).keys()):
        if first <= month <= last:
            load = _StreamMonth(lake, resolution, month, scope, staged, series, limits)
            for part in load.chunks(scope.entities, limits.commit_rows, len(scope.entities)):
                total += commit.exclusively(lake, TABLE, partial(load.run, series=part))
    return total


def _months(table: DeltaTable) -> set[date]:
    return {date.fromisoformat(partition["month"]) for partition in table.partitions()}


class _Series:
    """The numbers of series and their names, either way.

    :param names: (site_id, stream_type) by number
    """

    def __init__(self, names: Mapping[int, tuple[str, str]]) -> None:
        self.names = names
        number = {name: series for series, name in names.items()}
        sites, types = (sorted(set(texts)) for texts in zip(*number, strict=True))
        self._sites, self._types = pa.array(sites, pa.string()), pa.array(types, pa.string())
        self._numbers = pa.array([number.get((site, name)) for site in sites for name in types], pa.int64())
        self._series = pa.array(names.keys(), pa.int64())
        self._texts = [pa.array(texts, pa.string()) for texts in zip(*names.values(), strict=True)]

    def numbers(self, sites: pa.ChunkedArray, types: pa.ChunkedArray) -> pa.Array:
        """Return the numbers of these series, null of those that have none."""
        site, stream_type = pc.index_in(sites, self._sites), pc.index_in(types, self._types)
        place = pc.add(pc.multiply(site, len(self._types)), stream_type)
        return self._numbers.take(place.combine_chunks())

    def texts(self, numbers: pa.ChunkedArray) -> list[pa.ChunkedArray]:
        """Return site_id and stream_type of each of these numbers."""
        at = pc.index_in(numbers, self._series)
        return [texts.take(at) for texts in self._texts]


@dataclass(frozen=True, slots=True)
class _StreamMonth:
    """What is asked and staged of one month, so that it can be loaded again on a newer state of the table."""

    lake: Lake
    resolution: int
    month: date
    scope: Scope
    staged: StagedRows
    series: _Series
    limits: Limits

    def chunks(self, series: Sequence[int], rows: int, limit: int) -> Iterator[EntityChunk]:
        """Cut series into ranges of at most so many rows, staged and stored: each has one an interval at most."""
        first, after = self._window()
        most = 2 * (after - first) // self._step() + 1
        return chunks_of(dict.fromkeys(series, most), series, rows, limit)

    def run(self, table: DeltaTable, series: EntityChunk) -> LoadCounts:
        """Compare a range of series with this state of the table and commit what differs, if anything does."""
        counts = LoadCounts()
        inserts, updates = [_NUMBERED.empty_table()], [_NUMBERED.empty_table()]
        held = self.month in _months(table)
        for chunk in self.chunks(series.entities, self.limits.chunk_rows, len(series.entities)):
            stored = _chunk_rows(self._stored(table, chunk) if held else _NUMBERED.empty_table(), chunk)
            new, changed, of_chunk = self._difference(chunk, stored)
            counts += of_chunk
            inserts.append(_series_rows(new, chunk))
            updates.append(_series_rows(changed, chunk))
        new, changed = pa.concat_tables(inserts), pa.concat_tables(updates)
        if len(changed) > self.limits.merge_rows:
            self._rewrite(table, series, new, changed)
        elif len(changed):
            self._merge(table, series, pa.concat_tables([changed, new]))
        elif len(new):
            commit.append(table, pa.RecordBatchReader.from_batches(SCHEMA, self._texts(new)))
        else:
            return counts
        return counts + LoadCounts(versions={self.month.isoformat(): table.version()})

    def _difference(self, chunk: EntityChunk, stored: pa.Table) -> tuple[pa.Table, pa.Table, LoadCounts]:
        """Return a chunk's rows to insert and those to update, and the counts."""
        span = self._month_span()
        given, _ = in_scope(self.scope, chunk.entities, self.staged.read(chunk, *self._window()))
        given = given.select(_NUMBERED.names)
        stored, _ = in_scope(self.scope, chunk.entities, stored)
        given_key, stored_key = row_keys(given, *span), row_keys(stored, *span)
        found = pc.index_in(given_key, stored_key)
        answered, before = given.filter(found.is_valid()), stored.take(found.drop_null())
        differs = pc.or_(*(different(answered.column(name), before.column(name)) for name in (_VALUE, _LEAD)))
        changed = answered.filter(differs)
        emptied = pc.and_(answered.column(_VALUE).is_null(), before.column(_VALUE).is_valid())
        vanished = stored.filter(pc.invert(pc.is_in(stored_key, given_key)))
        vanished = vanished.filter(vanished.column(_VALUE).is_valid())
        gone = vanished.set_column(2, _VALUE, pa.nulls(len(vanished), pa.float64()))
        lost = pc.sum(emptied).as_py() or 0
        counts = LoadCounts(
            new=found.null_count,
            changed=len(changed) - lost,
            unchanged=len(answered) - len(changed),
            withdrawn=lost + len(gone),
        )
        return given.filter(found.is_null()), pa.concat_tables([changed, gone]), counts

    def _stored(self, table: DeltaTable, chunk: EntityChunk) -> pa.Table:
        """Return the stored rows of a chunk's sites in the window."""
        first, after = map(instant_of, self._window())
        among = [*self._among(chunk), ("end_datetime", ">", first), ("end_datetime", "<=", after)]
        batches, _ = self.lake.batches(table, [*KEY, "start_datetime", VALUE], among)
        rows = [self._numbered(pa.Table.from_batches([batch])) for batch in batches]
        return pa.concat_tables([_NUMBERED.empty_table(), *rows])

    def _numbered(self, rows: pa.Table) -> pa.Table:
        """Return the table's rows as those of series; ``entity`` is null of one that has no number."""
        numbers = self.series.numbers(rows.column("site_id"), rows.column("stream_type"))
        start, end = (rows.column(name).cast(pa.int64()) for name in ("start_datetime", "end_datetime"))
        lead = pc.subtract(end, start).cast(pa.float64())
        columns = [numbers, pc.subtract(end, self._step()), rows.column(VALUE), lead]
        return pa.table(columns, schema=_NUMBERED)

    def _merge(self, table: DeltaTable, series: EntityChunk, rows: pa.Table) -> None:
        whole = pa.Table.from_batches(self._texts(rows), SCHEMA)
        ends = pc.min_max(whole.column("end_datetime")).as_py()
        commit.merge(
            table,
            whole,
            key=KEY,
            update=["start_datetime", VALUE],
            insert=whole.column_names,
            among=[
                *self._among(series),
                ("end_datetime", ">=", ends["min"]),
                ("end_datetime", "<=", ends["max"]),
            ],
        )

    def _rewrite(self, table: DeltaTable, series: EntityChunk, new: pa.Table, changed: pa.Table) -> None:
        """Write the month anew for this range of sites: a merge of as many rows would hold them several times."""
        among = self._among(series)
        batches, _ = self.lake.batches(table, SCHEMA.names, among)
        keys: list[pa.Array] = []

        def compact(batch: pa.RecordBatch) -> pa.RecordBatch:
            keys.append(row_keys(self._numbered(pa.Table.from_batches([batch])), *self._month_span()))
            return _compact(batch)

        stored = pa.Table.from_batches(map(compact, batches), _COMPACT)
        changed_keys = row_keys(changed, *self._month_span())
        changes = pc.index_in(pa.chunked_array(keys, pa.int64()), changed_keys, skip_nulls=True)

        def rows() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(stored), WRITTEN_ROWS):
                some = stored.slice(start, WRITTEN_ROWS).cast(SCHEMA).combine_chunks()
                yield from _replaced(some, changed.take(changes.slice(start, WRITTEN_ROWS))).to_batches()
            yield from self._texts(new)

        reader = pa.RecordBatchReader.from_batches(SCHEMA, rows())
        commit.rewrite(table, reader, str(where(among)))

    def _texts(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Return rows of series as the table has them, a few at a time."""
        for start in range(0, len(rows), WRITTEN_ROWS):
            some = rows.slice(start, WRITTEN_ROWS).combine_chunks()
            sites, types = self.series.texts(some.column("entity"))
            end = pc.add(some.column("ts"), self._step())
            columns = {
                "site_id": sites,
                "stream_type": types,
                "resolution": pa.repeat(float(self.resolution), len(some)),
                "end_datetime": end.cast(INSTANT),
                "start_datetime": pc.subtract(end, some.column(_LEAD).cast(pa.int64())).cast(INSTANT),
                VALUE: some.column(_VALUE),
                "month": pa.repeat(pa.scalar(self.month, pa.date32()), len(some)),
            }
            yield from pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA).to_batches()

    def _among(self, chunk: EntityChunk) -> list[Filter]:
        sites = [self.series.names[number][0] for number in chunk.entities]
        return [
            ("month", "=", self.month),
            ("resolution", "=", float(self.resolution)),
            ("site_id", ">=", min(sites)),
            ("site_id", "<=", max(sites)),
        ]

    def _step(self) -> int:
        return self.resolution * 1_000_000

    def _window(self) -> tuple[int, int]:
        """Return the instants (microseconds, half-open) at which the month's asked intervals begin."""
        first, length = self._month_span()
        start, end = self.scope.span()
        return max(first, start), min(first + length, end)

    def _month_span(self) -> tuple[int, int]:
        """Return the month's first instant and its length, microseconds."""
        first, after = (
            micros(datetime.combine(day, time(), UTC)) for day in (self.month, next_month(self.month))
        )
        return first, after - first


def _chunk_rows(rows: pa.Table, chunk: EntityChunk) -> pa.Table:
    """Put the place in the chunk where the series' number stands; leave out rows of other series."""
    places = pc.index_in(rows.column("entity"), pa.array(chunk.entities, pa.int64()), skip_nulls=True)
    return rows.set_column(0, "entity", places).filter(places.is_valid()).combine_chunks()


def _series_rows(rows: pa.Table, chunk: EntityChunk) -> pa.Table:
    """Put the series' number where the place in the chunk stands."""
    series = pa.array(chunk.entities, pa.int64()).take(rows.column("entity").combine_chunks())
    return rows.set_column(0, "entity", series)


def _replaced(rows: pa.Table, changed: pa.Table) -> pa.Table:
    """Return the table's rows with start and value of those that have changed; ``changed`` is null for the others."""
    lead = changed.column(_LEAD).cast(pa.int64())
    starts = pc.subtract(rows.column("end_datetime").cast(pa.int64()), lead).cast(INSTANT)
    for name, values in (("start_datetime", starts), (VALUE, changed.column(_VALUE))):
        column = pc.if_else(lead.is_valid(), values, rows.column(name))
        rows = rows.set_column(rows.column_names.index(name), SCHEMA.field(name), column)
    return rows


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        column.dictionary_encode() if pa.types.is_string(column.type) else column for column in batch.columns
    ]
    return pa.record_batch(columns, schema=_COMPACT)
