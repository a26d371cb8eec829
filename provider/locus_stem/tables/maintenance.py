"""One table's maintenance beside its loads and readers: compaction, vacuum, and expiry of its log.

Nothing here changes what a table holds: its rows, its application transactions, the versions and the change data feed
of the retention's days stay. Unlike loads, these commits needn't be exclusive: Delta lets a compaction pass other
writers' commits unless one of them removed a file that it read, or changed the columns.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from locus_stem.tables.commit import ROW_GROUP_ROWS
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.storage_failures import storage_failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.tables.lake import Lake

__all__ = ["Maintained", "maintain", "tables_of"]

log = logging.getLogger(__name__)
Result = TypeVar("Result")

#: A file of this size isn't compacted further (deltalake's own default).
FULL_BYTES = 100 * 1024 * 1024
#: Compactions of a table, each a commit: a load that was in the middle of its work does that again after each.
GROUPS = 4
TRIES = 4
#: Files whose sizes are asked for at once.
LOOK_FILES = 1_000


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done with one table.

    :param files: data files of its newest version, before and after
    :param vacuumed: files deleted, and their bytes
    :param versions: first and last version whose change data can be read
    :param expired: versions whose log entries were deleted
    :param left: partitions that are left for the next time, with the reason
    """

    files: tuple[int, int]
    vacuumed: tuple[int, int]
    versions: tuple[int, int]
    expired: int
    left: dict[str, str]

    def __str__(self) -> str:
        (before, after), (deleted, freed) = self.files, self.vacuumed
        text = (
            f"{before} files before, {after} after; {deleted} old files deleted, {freed / 1e6:.1f} MB freed; "
            f"versions {self.versions[0]} to {self.versions[1]} can be read back, {self.expired} expired"
        )
        return "; ".join(
            [text, *(f"left for the next time: {one} ({why})" for one, why in self.left.items())]
        )


def tables_of(lake: Lake) -> list[str]:
    """Return the lake's tables that exist: the known ones, and hidden ones, whose names begin with an underscore."""
    with lake.files() as (filesystem, base):
        found = filesystem.get_file_info(pyarrow.fs.FileSelector(base, allow_not_found=True))
        names = [info.base_name for info in found if info.type == pyarrow.fs.FileType.Directory]
        ours = [name for name in sorted(names) if name in SPECS or name.startswith("_")]
        return [name for name in ours if DeltaTable.is_deltatable(*lake.delta_address(name))]


def maintain(lake: Lake, name: str, retention_days: int, deadline: float) -> Maintained:
    """Compact small files, delete files and log entries that are older than the retention.

    :param retention_days: versions, change data and deleted rows' files of so many days are kept
    :param deadline: on ``time.monotonic()``; no partition's compaction begins after it
    :raises deltalake.exceptions.DeltaError: the table can't be read or written
    :raises locus_stem.tables.lake.LakeError: the lake is closed to this machine
    :raises locus_stem.tables.lake.LakeUnavailableError: it is full, or fails
    """
    with storage_failures(lake.uri):
        _keep_for(lake, name, retention_days)
        table = _opened(lake, name)
        before, first = len(table.file_uris()), _log(lake, name)[0]
        left = _compact(lake, name, table, deadline)
        vacuumed = _patiently(lambda: _vacuum(lake, name, _opened(lake, name)))
        _expire_log(lake, name)
        table, versions = _opened(lake, name), _log(lake, name)
    return Maintained((before, len(table.file_uris())), vacuumed, versions, versions[0] - first, left)


def _keep_for(lake: Lake, name: str, days: int) -> None:
    """Let the table's own properties follow the retention: they hold for what writers clean at their checkpoints."""
    wanted = {
        "delta.logRetentionDuration": f"interval {days} days",
        "delta.deletedFileRetentionDuration": f"interval {days} days",
    }

    def change() -> None:
        table = _opened(lake, name)
        known = table.metadata().configuration
        changed = {key: value for key, value in wanted.items() if known.get(key) != value}
        if changed:
            table.alter.set_table_properties(changed)

    _patiently(change)


def _compact(lake: Lake, name: str, table: DeltaTable, deadline: float) -> dict[str, str]:
    left: dict[str, str] = {}
    for shown, filters in _groups(table):
        if time.monotonic() > deadline:
            left[shown] = "there was no time"
            continue
        began = time.monotonic()

        def compact(filters: Any = filters) -> dict[str, Any]:
            # One task at a time holds a third of a gigabyte, whatever the partition's size.
            return _opened(lake, name).optimize.compact(
                partition_filters=filters,
                target_size=FULL_BYTES,
                max_concurrent_tasks=1,
                writer_properties=WriterProperties(max_row_group_size=ROW_GROUP_ROWS),
            )

        try:
            done = _patiently(compact)
        except CommitFailedError as error:
            left[shown] = f"it was being loaded: {error}"
            continue
        removed, added = done["numFilesRemoved"], done["numFilesAdded"]
        log.info(
            "%s, %s: %d files became %d in %.1f s", name, shown, removed, added, time.monotonic() - began
        )
    return left


def _groups(table: DeltaTable) -> list[tuple[str, Any]]:
    """Return the groups of partitions with small files to put together, each to be one commit: name and filter.

    They are few: a load that other commits have overtaken begins its month again.
    """
    files = pa.table(table.get_add_actions())
    columns = table.metadata().partition_columns
    small = files.filter(pc.less(files.column("size_bytes"), FULL_BYTES))
    if not columns:
        return [("all", None)] if len(small) > 1 else []
    counts = Counter(
        tuple(map(str, partition.values())) for partition in small.column("partition").to_pylist()
    )
    # Partitions of one month, whatever their granularity, go together.
    values = sorted({partition[-1] for partition, count in counts.items() if count > 1})
    size = ceil(len(values) / GROUPS)
    groups = [values[low : low + size] for low in range(0, len(values), size or 1)]
    return [
        (
            f"{columns[-1]} {group[0]}" + (f" to {group[-1]}" if group[1:] else ""),
            [(columns[-1], "in", group)],
        )
        for group in groups
    ]


def _vacuum(lake: Lake, name: str, table: DeltaTable) -> tuple[int, int]:
    """Delete files that no kept version needs; those of loads that failed have no log entry, hence ``full``."""
    old = table.vacuum(dry_run=True, full=True)
    if not old:
        return 0, 0
    filesystem, base = lake.filesystem()
    freed = 0
    for low in range(0, len(old), LOOK_FILES):
        paths = [f"{base}/{name}/{path}" for path in old[low : low + LOOK_FILES]]
        freed += sum(info.size or 0 for info in filesystem.get_file_info(paths))
    return len(table.vacuum(dry_run=False, full=True)), freed


def _expire_log(lake: Lake, name: str) -> None:
    """Delete log entries up to the last checkpoint that is older than the retention."""
    table = _opened(lake, name)
    if not _has_checkpoint(lake, name, table.version()):
        table.create_checkpoint()
    table.cleanup_metadata()


def _log(lake: Lake, name: str) -> tuple[int, int]:
    """Return the first and the last version that the log has."""
    versions = [
        int(file.removesuffix(".json"))
        for file in _log_files(lake, name)
        if file.endswith(".json") and file.removesuffix(".json").isdecimal()
    ]
    return min(versions), max(versions)


def _has_checkpoint(lake: Lake, name: str, version: int) -> bool:
    return any(file.startswith(f"{version:020d}.checkpoint") for file in _log_files(lake, name))


def _log_files(lake: Lake, name: str) -> list[str]:
    filesystem, base = lake.filesystem()
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(f"{base}/{name}/_delta_log"))
    return [info.base_name for info in found]


def _opened(lake: Lake, name: str) -> DeltaTable:
    address, options = lake.delta_address(name)
    return DeltaTable(address, storage_options=options)


def _patiently(work: Callable[[], Result]) -> Result:
    """Do it again on the newest version where another writer's commit was in the way; a few times."""
    for attempt in range(1, TRIES):
        try:
            return work()
        except CommitFailedError as error:
            log.info("another writer was in the way (try %d of %d): %s", attempt, TRIES, error)
            time.sleep(random.uniform(0.2, 1.0) * 2**attempt)  # noqa: S311
    return work()
