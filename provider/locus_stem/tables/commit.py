"""The one place where tables are created and commits are made.

Every commit here is exclusive: it becomes exactly the version after the one that was read
(``max_commit_retries=0``), or it fails and the caller's work is done again on the newer table. Delta's own
rules would let two loaders append the same rows to a window that both saw empty.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from locus_stem.tables.schemas import SPECS
from locus_stem.tables.sql import Filter, quoted, where

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from locus_stem.tables.lake import Lake

__all__ = ["CommitConflictError", "append", "exclusively", "merge", "rewrite"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

SETTINGS: Mapping[str, str] = {
    "delta.enableChangeDataFeed": "true",
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
    "delta.checkpointInterval": "50",
}
TRIES = 10
# Smaller row groups than the default million let a reader skip the entities that it doesn't look at.
ROW_GROUP_ROWS = 131_072


class CommitConflictError(RuntimeError):
    """Other writers changed the table each time that this one had worked; run it when they are done."""


def exclusively(lake: Lake, name: str, work: Callable[[DeltaTable], Result]) -> Result:
    """Do ``work`` on the newest state of a table, again from the start when another writer was faster.

    :param work: reads the table that it is given and makes at most one commit on it
    :raises CommitConflictError: another writer was faster every time
    """
    for attempt in range(1, TRIES + 1):
        table = _opened_or_created(lake, name)
        try:
            return work(table)
        except CommitFailedError as error:
            log.info("%s: another writer committed first (try %d of %d): %s", name, attempt, TRIES, error)
            time.sleep(random.uniform(0, min(0.5, 0.05 * 2**attempt)))  # noqa: S311
    raise CommitConflictError(
        f"{name} was changed by other writers {TRIES} times while it was loaded; nothing that is staged "
        "is lost: run it again, and let one loader at a time write a table"
    )


def append(
    table: DeltaTable,
    rows: pa.Table | pa.RecordBatchReader,
    transactions: Sequence[Transaction] = (),
) -> None:
    """Append rows, with new columns where they bring some."""
    write_deltalake(
        table,
        rows,
        mode="append",
        schema_mode="merge",
        writer_properties=_writer(),
        commit_properties=_exclusive(transactions),
    )


def rewrite(table: DeltaTable, rows: pa.RecordBatchReader, predicate: str) -> None:
    """Put rows in the place of all that meet the predicate."""
    write_deltalake(
        table,
        rows,
        mode="overwrite",
        predicate=predicate,
        schema_mode="merge",
        writer_properties=_writer(),
        commit_properties=_exclusive(),
    )


def merge(
    table: DeltaTable,
    rows: pa.Table,
    *,
    key: Sequence[str],
    update: Sequence[str],
    insert: Sequence[str],
    among: Sequence[Filter] = (),
    deletions: str | None = None,
    transactions: Sequence[Transaction] = (),
) -> None:
    """Update the columns ``update`` of rows whose key is there, insert the others.

    :param among: what all rows to be updated meet; by its literals files are left out
    :param deletions: a bool column of ``rows``: true deletes the row
    """
    conditions = [f"{quoted(column, 'target')} = {quoted(column, 'source')}" for column in key]
    if pruning := where(among, "target"):
        conditions.insert(0, pruning)
    merger = table.merge(
        rows,
        " AND ".join(conditions),
        source_alias="source",
        target_alias="target",
        merge_schema=not set(rows.column_names) - {deletions} <= {f.name for f in table.schema().fields},
        # Without the stream DataFusion knows the source's size: up to half the time and half the memory.
        streamed_exec=False,
        writer_properties=_writer(),
        commit_properties=_exclusive(transactions),
    )
    if deletions is not None:
        merger = merger.when_matched_delete(quoted(deletions, "source"))
    if update:
        merger = merger.when_matched_update({quoted(c): quoted(c, "source") for c in update})
    if insert:
        merger = merger.when_not_matched_insert({quoted(c): quoted(c, "source") for c in insert})
    merger.execute()


def _opened_or_created(lake: Lake, name: str) -> DeltaTable:
    table = lake.open(name)
    if table is not None:
        return table
    spec = SPECS[name]
    address, options = lake.delta_address(name)
    try:
        return DeltaTable.create(
            address,
            spec.schema(),
            partition_by=list(spec.partitions),
            configuration=dict(SETTINGS),
            storage_options=options,
            # Else a creation that comes second would be tried again as the next version, and take away what columns
            # the first one's loads have added.
            commit_properties=_exclusive(),
        )
    except DeltaError:
        # Another process may have created it between the look and the creation.
        table = lake.open(name)
        if table is None:
            raise
        return table


def _exclusive(transactions: Sequence[Transaction] = ()) -> CommitProperties:
    return CommitProperties(max_commit_retries=0, app_transactions=list(transactions) or None)


def _writer() -> WriterProperties:
    return WriterProperties(max_row_group_size=ROW_GROUP_ROWS)
