"""Exact loading of measurements: a table then equals the API's answer for what was asked; the rest stays.

Each month is one commit: staged rows are compared with the stored ones, and only rows that are new, changed
or withdrawn are written; where there are none there is no commit.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from locus_stem.tables import commit
from locus_stem.tables.asked import Asked, FieldNameError, Scope, check_field_names, instant_of
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.limits import LIMITS, Limits
from locus_stem.tables.month_load import MonthLoad
from locus_stem.tables.staged import StagedRows, chunks_of
from locus_stem.tables.stored import StoredRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from locus_stem.tables.lake import Lake

__all__ = ["Asked", "FieldNameError", "LoadCounts", "load_measurements"]

DAY = timedelta(days=1)


def load_measurements(
    lake: Lake,
    table: str,
    granularity: str,
    parts: Sequence[str],
    asked: Sequence[Asked],
    limits: Limits = LIMITS,
) -> LoadCounts:
    """Bring a data table to what was answered for exactly these entities, fields and windows.

    New rows are inserted, changed values updated, withdrawn values null (their row is kept); everything
    else stays. Staged rows outside of what was asked are ignored. The same load again changes nothing and
    makes no commit.

    :param table: locus_site_data or locus_component_data
    :param parts: URIs of staged Parquet files: entity_id int64, ts timestamp[us, UTC], local_date date32
        and a float64 column a field; rows of one (entity_id, ts) are put together, the last value of a
        field wins
    :param asked: an entity's field was asked for in the union of the windows that name it
    :raises FieldNameError: a field's name can't be a column's
    :raises CommitConflictError: other writers kept changing the table
    """
    scope = Scope.of(asked)
    if not scope.fields:
        return LoadCounts()
    check_field_names(scope.fields, ())
    limits = limits.for_fields(len(scope.fields))
    staged = StagedRows(lake, parts, scope.fields)
    staged_rows = staged.counts(scope.entities)
    first, last = (instant_of(end).date() for end in scope.span())
    months = commit.exclusively(
        lake,
        table,
        lambda found: StoredRows(lake, found, table, granularity, ()).months(first - DAY, last + DAY),
    )
    total = LoadCounts()
    for month in sorted(months | staged_rows.keys()):
        of_month = staged_rows.get(month, {})
        for part in chunks_of(of_month, scope.entities, limits.commit_rows, limit=len(scope.entities)):
            load = MonthLoad(lake, table, granularity, month, scope, staged, of_month, part, limits)
            total += commit.exclusively(lake, table, load.run)
    return total
