"""Exact loading of bulk months: the table then equals the answers for the sites, fields and months asked."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from locus_stem.api.granularity import BULK_GRANULARITY
from locus_stem.planning.intervals import expected_by_date
from locus_stem.tables import commit
from locus_stem.tables.asked import Asked, Scope, check_field_names, instant_of
from locus_stem.tables.compare import in_scope
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.coverage import record_counts
from locus_stem.tables.limits import LIMITS
from locus_stem.tables.staged import StagedRows, chunks_of
from locus_stem.tables.upsert import upsert_into

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["TABLE", "load_bulk", "record_without_data"]

TABLE = "locus_bulk_monthly"
KEY = ["site_id", "month"]


def load_bulk(lake: Lake, parts: Sequence[str], asked: Sequence[Asked]) -> tuple[LoadCounts, set[int]]:
    """Bring the bulk table to what was answered for exactly these sites, fields and months.

    A row or value that is there and is no longer answered becomes null (its row is kept); everything else stays. The
    same load again changes nothing and makes no commit. Sites of which the same fields were asked are one commit.

    :param parts: as for ``load_measurements``; ``local_date`` is the month's first day
    :param asked: a site's fields were asked in the union of the windows that name it
    :returns: what changed, and the sites that have a row in the answers
    :raises FieldNameError: a field's name can't be a column's
    """
    alike: defaultdict[tuple[str, ...], list[Asked]] = defaultdict(list)
    fields_of: defaultdict[int, set[str]] = defaultdict(set)
    for one in asked:
        fields_of[one.entity_id].update(one.fields)
    for one in asked:
        alike[tuple(sorted(fields_of[one.entity_id]))].append(one)
    total, answered = LoadCounts(), set[int]()
    for mine in alike.values():
        scope = Scope.of(mine)
        if not scope.fields:
            continue
        check_field_names(scope.fields, ())
        given = _answered(lake, parts, scope)
        answered.update(pc.unique(given.column("site_id")).to_pylist())
        total += _load(lake, given, scope)
    return total, answered


def record_without_data(lake: Lake, asked: Sequence[Asked], reason: str) -> LoadCounts:
    """Record in `coverage` that nothing came of sites, and why; their months are skipped."""
    scope = Scope.of(asked)
    months = _Months(scope)
    rows = [
        (str(site_id), field, month)
        for site_id in scope.entities
        for field in scope.fields
        for month in sorted(months.of(site_id))
    ]
    if not rows:
        return LoadCounts()
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
    return record_counts(lake, TABLE, "site", BULK_GRANULARITY, counts)


class _Months:
    """The months asked of each site, counted once for each zone and windows."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._found: dict[tuple[str, int], frozenset[date]] = {}

    def of(self, site_id: int) -> frozenset[date]:
        zone, signature = self._scope.zones[site_id], self._scope.signature_of[site_id]
        if (zone, signature) not in self._found:
            spans = {span for windows in self._scope.signatures[signature].values() for span in windows}
            self._found[zone, signature] = frozenset(
                month
                for start, end in spans
                for month in expected_by_date(instant_of(start), instant_of(end), zone, BULK_GRANULARITY)
            )
        return self._found[zone, signature]


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
            site_id in scope.signature_of and month in months.of(site_id)
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
