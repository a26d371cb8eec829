"""The one place where tables are created and commits are made.

Every commit here is exclusive: it becomes exactly the version after the one that was read
(``max_commit_retries=0``), or it fails and the caller's work is done again on the newer table. Delta's own
rules would let two loaders append the same rows to a window that both saw empty.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from locus_stem.tables.schemas import SPECS
from locus_stem.tables.sql import Filter, quoted, where
from locus_stem.tables.storage_failures import storage_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from locus_stem.tables.lake import Lake

__all__ = ["CommitConflictError", "append", "delete", "exclusively", "merge", "only_while", "rewrite"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

SETTINGS: Mapping[str, str] = {
    "delta.enableChangeDataFeed": "true",
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
    "delta.checkpointInterval": "50",
}
#: A slow merge may lose against quick commits many times in a row: time is what bounds it.
PATIENCE = timedelta(minutes=30)
LONGEST_PAUSE = 2.0
# Smaller row groups than the default million let a reader skip the entities that it doesn't look at.
ROW_GROUP_ROWS = 131_072


class CommitConflictError(RuntimeError):
    """Other writers changed the table each time that this one had worked; run it when they are done."""


_condition: ContextVar[Callable[[], None]] = ContextVar("condition", default=lambda: None)


@contextmanager
def only_while(condition: Callable[[], None]) -> Iterator[None]:
    """Look at a condition before each work on a table in here, after the table was opened: what it raises ends it.

    So a commit of which the condition has failed is never made onto a version that is younger than the failure.
    """
    before = _condition.set(condition)
    try:
        yield
    finally:
        _condition.reset(before)


def exclusively(lake: Lake, name: str, work: Callable[[DeltaTable], Result]) -> Result:
    """Do ``work`` on the newest state of a table, again from the start when another writer was faster.

    :param work: reads the table that it is given and makes at most one commit on it
    :raises CommitConflictError: another writer was faster every time, for :data:`PATIENCE`
    :raises CommitFailedError: the commit failed, and no other writer is the cause
    :raises locus_stem.tables.lake.LakeError: the file system is closed to this machine
    :raises locus_stem.tables.lake.LakeUnavailableError: the file system is full, or fails
    """
    deadline = time.monotonic() + PATIENCE.total_seconds()
    attempt = 0
    while True:
        attempt += 1
        with storage_failures(lake.uri):
            table = _opened_or_created(lake, name)
        _condition.get()()
        read = table.version()
        try:
            with storage_failures(lake.uri):
                return work(table)
        except CommitFailedError as error:
            if _newest(lake, name) == read:
                raise
            if time.monotonic() > deadline:
                raise CommitConflictError(
                    f"{name} was changed by other writers {attempt} times while it was written, for "
                    f"{PATIENCE.total_seconds() / 60:.0f} minutes; nothing that is staged is lost: run it again"
                ) from error
            log.info("%s: another writer committed first (try %d): %s", name, attempt, error)
            time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.05 * 2 ** min(attempt, 10))))  # noqa: S311


def append(
    table: DeltaTable,
    rows: pa.Table | pa.RecordBatchReader,
    transactions: Sequence[Transaction] = (),
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Append rows, with new columns where they bring some.

    :param remarks: are kept with the commit in the table's history
    """
    write_deltalake(
        table,
        rows,
        mode="append",
        schema_mode="merge",
        writer_properties=_writer(),
        commit_properties=_exclusive(transactions, remarks),
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


def delete(table: DeltaTable, predicate: str) -> int:
    """Delete the rows that meet the predicate; return how many these were."""
    done = table.delete(predicate, writer_properties=_writer(), commit_properties=_exclusive())
    return int(done["num_deleted_rows"] or 0)


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


def _newest(lake: Lake, name: str) -> int | None:
    table = lake.open(name)
    return None if table is None else table.version()


def _exclusive(
    transactions: Sequence[Transaction] = (), remarks: Mapping[str, str] | None = None
) -> CommitProperties:
    return CommitProperties(
        custom_metadata=dict(remarks) if remarks else None,
        max_commit_retries=0,
        app_transactions=list(transactions) or None,
    )


def _writer() -> WriterProperties:
    return WriterProperties(max_row_group_size=ROW_GROUP_ROWS)
