"""The table ``runs``: what each try of a task did."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.tables import commit
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import upsert, upsert_into
from locus_stem.tables.values import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["add_run", "record_runs"]

TABLE = "runs"
SPEC = SPECS[TABLE]
SUMMED = (
    "requests", "retries", "api_seconds", "rows_new", "rows_changed", "rows_unchanged", "rows_withdrawn",
    "entities_skipped",
)  # fmt: skip


def record_runs(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> LoadCounts:
    """Insert or replace rows of tries.

    :param rows: the table's columns; dag_id, run_id, task_id, map_index (-1: not mapped) and try_number are
        the key; started and ended are aware instants, answered_by_status a mapping of status to requests
    :raises ValueError: a row lacks a part of the key or has a column that the table hasn't
    """
    found = {tuple(row.get(name) for name in SPEC.key): _checked(row) for row in rows}
    if not found:
        return LoadCounts()
    return upsert(lake, TABLE, _table(list(found.values())), among=_runs_of(list(found.values())))


def add_run(lake: Lake, row: Mapping[str, Any]) -> LoadCounts:
    """Add one turn of a try to its row: numbers are summed, the time runs from first to last.

    The turn that the row ends with is not added again: where the answer to a commit is lost, the commit looks like one
    that another writer was faster with.

    :param row: as for ``record_runs``
    :raises ValueError: as ``record_runs``
    """
    among = _runs_of([_checked(row)])

    def work(table: DeltaTable) -> LoadCounts:
        stored = pa.Table.from_batches(*lake.batches(table, list(SPEC.columns), among)).to_pylist()
        before = [old for old in stored if all(old[name] == row[name] for name in SPEC.key)]
        if before and row.get("ended") is not None and before[0]["ended"] == row["ended"]:
            return LoadCounts(unchanged=1)
        whole = _sum(before[0], row) if before else row
        return upsert_into(lake, table, TABLE, _table([whole]), among=among)

    return commit.exclusively(lake, TABLE, work)


def _checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(set(row) - set(SPEC.columns))
    missing = [name for name in SPEC.key if row.get(name) is None]
    if unknown or missing:
        raise ValueError(f"a row of {TABLE} has the unknown columns {unknown} and lacks {missing}")
    return row


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return table_of(SPEC, rows, SPEC.schema())


def _runs_of(rows: Sequence[Mapping[str, Any]]) -> list[Filter]:
    return [("run_id", "in", sorted({str(row["run_id"]) for row in rows}))]


def _sum(before: Mapping[str, Any], turn: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**before, **turn}
    for name in SUMMED:
        whole[name] = (before[name] or 0) + (turn.get(name) or 0)
    by_status = Counter(json.loads(before["answered_by_status"] or "{}"))
    by_status.update(
        {str(status): number for status, number in (turn.get("answered_by_status") or {}).items()}
    )
    whole["answered_by_status"] = dict(by_status)
    for name, pick in (("started", min), ("ended", max)):
        known = [one for one in (before[name], turn.get(name)) if one is not None]
        whole[name] = pick(known) if known else None
    return whole
