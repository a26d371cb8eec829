"""Exact loading of bulk months: the table then equals the answers for the sites, fields and months asked."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.api.granularity import BULK_GRANULARITY
from locus_stem.planning.intervals import expected_by_date
from locus_stem.tables import commit
from locus_stem.tables.asked import Asked, Scope, Windows, check_field_names, instant_of
from locus_stem.tables.compare import in_scope
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.coverage import record_counts, record_coverage, record_marks, record_skips
from locus_stem.tables.limits import LIMITS
from locus_stem.tables.skips import Marks, Skip
from locus_stem.tables.staged import StagedRows, chunks_of
from locus_stem.tables.upsert import upsert_into

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import date

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.overtaken import Due
    from locus_stem.tables.sql import Filter

__all__ = ["TABLE", "load_bulk", "record_bulk_coverage", "sites_answered"]

TABLE = "locus_bulk_monthly"
KEY = ["site_id", "month"]


def load_bulk(lake: Lake, parts: Sequence[str], asked: Sequence[Asked]) -> LoadCounts:
    """Bring the bulk table to what was answered for exactly these sites, fields and months.

    A row or value that is there and is no longer answered becomes null (its row is kept); everything else stays. The
    same load again changes nothing and makes no commit. Months of which the same fields were asked are one commit.

    :param parts: as for ``load_measurements``; ``local_date`` is the month's first day
    :param asked: a site's fields were asked in the union of the windows that name it
    :raises FieldNameError: a field's name can't be a column's
    """
    total = LoadCounts()
    for mine in _alike(asked):
        scope = Scope.of(mine)
        if not scope.fields:
            continue
        check_field_names(scope.fields, ())
        total += _load(lake, _answered(lake, parts, scope), scope)
    return total


def _alike(asked: Sequence[Asked]) -> Iterable[list[Asked]]:
    """Cut what was asked into windows in which the same fields were asked throughout, and put those alike together.

    A row is written with all fields of its group: one that wasn't asked of a month would lose its value.
    """
    whole = Scope.of(asked)
    cut: dict[int, list[tuple[tuple[str, ...], int, int]]] = {}
    for signature, by_field in enumerate(whole.signatures):
        ends = sorted({end for windows in by_field.values() for window in windows for end in window})
        cut[signature] = [
            (fields, start, end)
            for start, end in pairwise(ends)
            if (
                fields := tuple(
                    field
                    for field, windows in by_field.items()
                    if any(first <= start and end <= after for first, after in windows)
                )
            )
        ]
    alike: defaultdict[tuple[str, ...], list[Asked]] = defaultdict(list)
    for site_id, signature in whole.signature_of.items():
        for fields, start, end in cut[signature]:
            one = Asked(site_id, site_id, whole.zones[site_id], fields, instant_of(start), instant_of(end))
            alike[fields].append(one)
    return alike.values()


def sites_answered(lake: Lake, parts: Sequence[str], asked: Sequence[Asked]) -> set[int]:
    """Return the sites of which the answers hold anything."""
    found = StagedRows(lake, parts, ()).counts([one.entity_id for one in asked])
    return {site_id for of_month in found.values() for site_id in of_month}


def record_bulk_coverage(
    lake: Lake, parts: Sequence[str], due: Due, having: Collection[int], without: str
) -> LoadCounts:
    """Record in `coverage` what was answered of what is due, and what was skipped.

    :param having: sites of which the answers hold anything, see ``sites_answered``.
    :param without: why nothing came of the others; their months are skipped.
    """
    covered: dict[bool, list[Asked]] = {True: [], False: []}
    skips: dict[bool, list[Skip]] = {True: [], False: []}
    for one in due.covered:
        covered[one.entity_id in having].append(one)
    for skip in due.skips:
        skips[int(skip.entity_id) in having].append(skip)
    recorded = record_coverage(lake, TABLE, "site", BULK_GRANULARITY, parts, covered[True], skips=skips[True])
    return recorded + _record_without_data(lake, covered[False], without, skips[False])


def _record_without_data(
    lake: Lake, asked: Sequence[Asked], reason: str, skips: Sequence[Skip]
) -> LoadCounts:
    """Record in `coverage` that nothing came of sites, and why; what was skipped keeps its own reason."""
    scope = Scope.of(asked)
    months = _Months(scope)
    rows = [
        (str(site_id), field, month)
        for site_id in scope.entities
        for field in scope.windows(site_id)
        for month in sorted(months.of(site_id, field))
    ]
    if not rows:
        return record_skips(lake, TABLE, "site", BULK_GRANULARITY, skips)
    sites, fields, dates = zip(*rows, strict=True)
    counts = pa.table(
        {
            "entity_id": pa.array(sites, pa.string()),
            "field": pa.array(fields, pa.string()),
            "local_date": pa.array(dates, pa.date32()),
            "expected": pa.repeat(1.0, len(rows)),
            "received": pa.repeat(0.0, len(rows)),
            "null_count": pa.repeat(0.0, len(rows)),
            "skipped": pa.repeat(reason, len(rows)),
        }
    )
    marks = Marks(skips, BULK_GRANULARITY)
    recorded = record_counts(lake, TABLE, "site", BULK_GRANULARITY, marks.on(counts))
    return recorded + record_marks(lake, TABLE, "site", BULK_GRANULARITY, marks)


class _Months:
    """The months asked of each site's field, counted once for each zone and windows."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._found: dict[tuple[str, Windows], frozenset[date]] = {}

    def of(self, site_id: int, field: str) -> frozenset[date]:
        zone, windows = self._scope.zones[site_id], self._scope.windows(site_id)[field]
        if (zone, windows) not in self._found:
            self._found[zone, windows] = frozenset(
                month
                for start, end in windows
                for month in expected_by_date(instant_of(start), instant_of(end), zone, BULK_GRANULARITY)
            )
        return self._found[zone, windows]


def _answered(lake: Lake, parts: Sequence[str], scope: Scope) -> pa.Table:
    """Read what was answered of what was asked: site_id, month and a column a field, a row a site and month."""
    staged = StagedRows(lake, parts, scope.fields)
    weights: defaultdict[int, int] = defaultdict(int)
    for of_month in staged.counts(scope.entities).values():
        for site_id, rows in of_month.items():
            weights[site_id] += rows
    schema = pa.schema(
        [
            ("site_id", pa.int64()),
            ("month", pa.date32()),
            *((name, pa.float64()) for name in scope.fields),
        ]
    )
    found = [schema.empty_table()]
    chunk_rows = LIMITS.for_fields(len(scope.fields)).chunk_rows
    for chunk in chunks_of(weights, scope.entities, chunk_rows):
        rows, _ = in_scope(scope, chunk.entities, staged.read(chunk))
        sites = pa.array(chunk.entities, pa.int64()).take(rows.column("entity").combine_chunks())
        values = [rows.column(str(place)) for place in range(len(scope.fields))]
        found.append(pa.table([sites, rows.column("local_date"), *values], schema=schema))
    return pa.concat_tables(found)


def _load(lake: Lake, given: pa.Table, scope: Scope) -> LoadCounts:
    months = _Months(scope)
    first, last = (instant_of(micros).date() for micros in scope.span())
    # A zone's month may begin on the day before or after UTC's.
    among: list[Filter] = [("month", ">=", first.replace(day=1)), ("month", "<=", last)]

    def work(table: DeltaTable) -> LoadCounts:
        held = _with_values(lake, table, scope.fields, among)
        emptied = held.join(given.filter(_all_null(given, scope.fields)).select(KEY), KEY, join_type="inner")
        vanished = held.join(given.select(KEY), KEY, join_type="left anti")
        asked = [
            site_id in scope.signature_of and month in months.of(site_id, scope.fields[0])
            for site_id, month in zip(*(vanished.column(name).to_pylist() for name in KEY), strict=True)
        ]
        vanished = vanished.filter(pa.array(asked, pa.bool_()))
        nulls = [pa.nulls(len(vanished), pa.float64()) for _ in scope.fields]
        gone = pa.table([*vanished.select(KEY).columns, *nulls], schema=given.schema)
        counts = upsert_into(lake, table, TABLE, pa.concat_tables([given, gone]), among=among)
        withdrawn = len(emptied) + len(gone)
        return LoadCounts(
            counts.new, counts.changed - withdrawn, counts.unchanged, withdrawn, counts.versions
        )

    return commit.exclusively(lake, TABLE, work)


def _with_values(lake: Lake, table: DeltaTable, fields: Sequence[str], among: Sequence[Filter]) -> pa.Table:
    """Return the keys of the stored rows that have a value in any of the fields."""
    stored = {column.name for column in table.schema().fields}
    present = [name for name in fields if name in stored]
    batches, schema = lake.batches(table, [*KEY, *present], among)
    rows = pa.Table.from_batches(batches, schema)
    return rows.filter(pc.invert(_all_null(rows, present))).select(KEY)


def _all_null(rows: pa.Table, fields: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    found: pa.Array | pa.ChunkedArray = pa.repeat(True, len(rows))
    for name in fields:
        found = pc.and_(found, rows.column(name).is_null())
    return found
