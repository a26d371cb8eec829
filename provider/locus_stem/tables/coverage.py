"""The table ``coverage``: how many intervals each entity's field should have on a local date, and has.

missing = expected - received - null_count. Lists and details that were fetched stand here too, with the UTC
date, the granularity "" and the field "".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.tables import commit
from locus_stem.tables.asked import Asked, Scope
from locus_stem.tables.compare import in_scope
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.expected import ExpectedDates
from locus_stem.tables.limits import LIMITS
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.skips import Marks, Skip
from locus_stem.tables.staged import EntityChunk, StagedRows, chunks_of
from locus_stem.tables.upsert import upsert, upsert_into

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = [
    "Fetch", "last_fetches", "record_counts", "record_coverage", "record_fetch", "record_fetches",
    "record_marks", "record_skips", "recorded",
]  # fmt: skip

TABLE = "coverage"
COMMIT_ROWS = 250_000
NAMED_ENTITIES = 500
NAMED_FIELDS = 100
EPOCH = date(1970, 1, 1)
# Places of (entity, date) in one int64: a chunk has few entities and no date is past the year 4000.
DATES = 1_000_000


@dataclass(frozen=True, slots=True)
class Fetch:
    """A list or a detail that was fetched on a UTC date, or refused for the reason ``skipped``."""

    entity_type: str
    entity_id: str
    day: date
    skipped: str | None = None


def record_coverage(
    lake: Lake,
    source: str,
    entity_type: str,
    granularity: str,
    parts: Sequence[str],
    asked: Sequence[Asked],
    names: Mapping[int, tuple[str, str]] | None = None,
    skips: Sequence[Skip] = (),
) -> LoadCounts:
    """Record what was answered of what was asked, from the staged parts that were loaded, and what was skipped.

    Dates on which an entity's field was asked are replaced, others stay; for skipped ones see ``record_skips``.

    :param source: the table that was loaded
    :param parts: as for load_measurements; a row with a value in any field counts for the others as null
    :param names: entity_id and field of each entity's rows, where an entity is one series of an entity with a name
    """
    scope = Scope.of(asked)
    if not scope.fields:
        return record_skips(lake, source, entity_type, granularity, skips)
    staged = StagedRows(lake, parts, scope.fields)
    weights: dict[int, int] = defaultdict(int)
    for of_month in staged.counts(scope.entities).values():
        for entity, rows in of_month.items():
            weights[entity] += rows
    dates, marks = ExpectedDates(granularity), Marks(skips, granularity)
    total = LoadCounts()
    pending: list[pa.Table] = []
    chunk_rows = LIMITS.for_fields(len(scope.fields)).chunk_rows
    for chunk in chunks_of(weights, scope.entities, chunk_rows):
        for rows in _counted(scope, chunk, staged.read(chunk), dates, names):
            pending.append(marks.on(rows))
            if sum(map(len, pending)) >= COMMIT_ROWS:
                total += record_counts(lake, source, entity_type, granularity, pa.concat_tables(pending))
                pending = []
    if pending:
        total += record_counts(lake, source, entity_type, granularity, pa.concat_tables(pending))
    return total + record_marks(lake, source, entity_type, granularity, marks)


def record_counts(lake: Lake, source: str, entity_type: str, granularity: str, rows: pa.Table) -> LoadCounts:
    """Record counts that are known.

    :param rows: one row for each entity_id (string), field and local_date, with expected, received,
        null_count and skipped, which may be left out (null)
    """
    if not len(rows):
        return LoadCounts()
    whole = _whole(source, entity_type, granularity, rows)
    days = pc.min_max(whole.column("local_date")).as_py()
    among = _among(source, entity_type, granularity, days["min"], days["max"])
    among += _entities(pc.unique(whole.column("entity_id")).to_pylist())
    among += _fields(pc.unique(whole.column("field")).to_pylist())
    return upsert(lake, TABLE, whole, among=among)


def record_skips(
    lake: Lake, source: str, entity_type: str, granularity: str, skips: Sequence[Skip]
) -> LoadCounts:
    """Mark fields as skipped: rows that are there keep their counts, others begin with received 0."""
    return record_marks(lake, source, entity_type, granularity, Marks(skips, granularity))


def record_marks(lake: Lake, source: str, entity_type: str, granularity: str, marks: Marks) -> LoadCounts:
    """Write the marks that no counts have taken with them."""
    reasons = marks.left
    if not reasons:
        return LoadCounts()
    on = [day for _, _, day in reasons]
    among = _among(source, entity_type, granularity, min(on), max(on))
    among += _entities({entity for entity, _, _ in reasons})

    def work(table: DeltaTable) -> LoadCounts:
        columns = ["entity_id", "field", "local_date", "expected", "received", "null_count"]
        stored = pa.Table.from_batches(*lake.batches(table, columns, among))
        known = {
            (entity, field, day): counts
            for entity, field, day, *counts in zip(*(c.to_pylist() for c in stored.columns), strict=True)
        }
        found = [
            (*key, *known.get(key, (expected, 0, 0)), reason) for key, (expected, reason) in reasons.items()
        ]
        names = [*columns, "skipped"]
        rows = pa.table(
            [pa.array(column, SPECS[TABLE].columns[name]) for name, column in
             zip(names, zip(*found, strict=True), strict=True)],
            names=names,
        )  # fmt: skip
        whole = _whole(source, entity_type, granularity, rows)
        return upsert_into(lake, table, TABLE, whole, among=among)

    return commit.exclusively(lake, TABLE, work)


def record_fetch(
    lake: Lake, source: str, entity_type: str, entity_id: str, day: date, skipped: str | None = None
) -> LoadCounts:
    """Record one list or detail as fetched, or as refused; many at once are ``record_fetches``."""
    return record_fetches(lake, source, [Fetch(entity_type, entity_id, day, skipped)])


def record_fetches(lake: Lake, source: str, fetches: Sequence[Fetch]) -> LoadCounts:
    """Record lists and details as fetched (received 1) or refused (received 0, skipped says why)."""
    groups: dict[str, dict[tuple[str, date], str | None]] = defaultdict(dict)
    for fetch in fetches:
        groups[fetch.entity_type][fetch.entity_id, fetch.day] = fetch.skipped
    total = LoadCounts()
    for entity_type, reasons in groups.items():
        rows = pa.table(
            {
                "entity_id": pa.array([entity for entity, _ in reasons], pa.string()),
                "field": pa.repeat("", len(reasons)),
                "local_date": pa.array([day for _, day in reasons], pa.date32()),
                "expected": pa.repeat(1.0, len(reasons)),
                "received": pa.array([0.0 if reason else 1.0 for reason in reasons.values()]),
                "null_count": pa.repeat(0.0, len(reasons)),
                "skipped": pa.array(list(reasons.values()), pa.string()),
            }
        )
        total += record_counts(lake, source, entity_type, "", rows)
    return total


def last_fetches(lake: Lake, source: str) -> dict[tuple[str, str], Fetch]:
    """Return the last fetch of each list or detail, refused ones included, by (entity_type, entity_id)."""
    found: dict[tuple[str, str], Fetch] = {}
    filters: list[Filter] = [("granularity", "=", ""), ("field", "=", "")]
    for batch in recorded(lake, source, ["entity_type", "entity_id", "local_date", "skipped"], filters):
        for kind, entity, day, skipped in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if (kind, entity) not in found or found[kind, entity].day < day:
                found[kind, entity] = Fetch(kind, entity, day, skipped)
    return found


def _counted(
    scope: Scope,
    chunk: EntityChunk,
    rows: pa.Table,
    dates: ExpectedDates,
    names: Mapping[int, tuple[str, str]] | None,
) -> Iterator[pa.Table]:
    """Return the counts of each field of the chunk's entities."""
    rows, masks = in_scope(scope, chunk.entities, rows)
    day = pc.add(
        pc.multiply(rows.column("entity").cast(pa.int64()), DATES),
        rows.column("local_date").cast(pa.int32()).cast(pa.int64()),
    )
    alike: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, entity in enumerate(chunk.entities):
        alike[scope.zones[entity], scope.signature_of[entity]].append(place)
    for number, field in enumerate(scope.fields):
        mask = masks[number]
        asked = pa.repeat(mask, len(rows)) if isinstance(mask, bool) else mask
        grouped = (
            pa.table({"day": day, "asked": asked.cast(pa.int64()), "value": rows.column(str(number))})
            .group_by("day")
            .aggregate([("asked", "sum"), ("value", "count")])
        )
        found_days = grouped.column("day").combine_chunks()
        for (zone, signature), places in alike.items():
            windows = scope.signatures[signature].get(field)
            if windows is None:
                continue
            days, expected = dates.of(zone, windows)
            on = [(one - EPOCH).days for one in days]
            at = pc.index_in(pa.array([place * DATES + one for place in places for one in on]), found_days)
            received = grouped.column("value_count").take(at).fill_null(0).cast(pa.float64())
            answered = grouped.column("asked_sum").take(at).fill_null(0).cast(pa.float64())
            entities = [chunk.entities[place] for place in places for _ in days]
            titles = [names[entity] if names else (str(entity), field) for entity in entities]
            yield pa.table(
                {
                    "entity_id": pa.array([entity_id for entity_id, _ in titles], pa.string()),
                    "field": pa.array([name for _, name in titles], pa.string()),
                    "local_date": pa.array(days * len(places), pa.date32()),
                    "expected": pa.array(expected * len(places), pa.float64()),
                    "received": received,
                    "null_count": pc.subtract(answered, received),
                    "skipped": pa.nulls(len(at), pa.string()),
                }
            )


def _whole(source: str, entity_type: str, granularity: str, rows: pa.Table) -> pa.Table:
    constant = {"source": source, "entity_type": entity_type, "granularity": granularity}
    return pa.table({
        name: pa.repeat(constant[name], len(rows)) if name in constant
        else rows.column(name) if name in rows.column_names
        else pa.nulls(len(rows), kind)
        for name, kind in SPECS[TABLE].columns.items()
    })  # fmt: skip


def _among(source: str, entity_type: str, granularity: str, first: date, last: date) -> list[Filter]:
    """Return the rows of one kind between two dates."""
    return [
        ("source", "=", source),
        ("entity_type", "=", entity_type),
        ("granularity", "=", granularity),
        ("local_date", ">=", first),
        ("local_date", "<=", last),
    ]


def _entities(ids: Collection[str]) -> list[Filter]:
    """Return a few entities' rows; a list of thousands takes longer than the rows that it leaves out."""
    return [("entity_id", "in", sorted(ids))] if len(ids) <= NAMED_ENTITIES else []


def _fields(names: Collection[str]) -> list[Filter]:
    """Return a few fields' rows: wide tables are recorded some fields at a time."""
    return [("field", "in", sorted(names))] if len(names) <= NAMED_FIELDS else []


def recorded(lake: Lake, source: str, columns: list[str], filters: list[Filter]) -> Iterator[pa.RecordBatch]:
    """Read columns of a table's coverage, batch by batch."""
    table = lake.open(TABLE)
    if table is not None:
        batches, _ = lake.batches(table, columns, [("source", "=", source), *filters])
        yield from (batch for batch in batches if batch.num_rows)
