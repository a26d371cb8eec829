"""Maintenance of a whole lake: each of its tables, staging that no run will load, and what is known of old loads."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deltalake.exceptions import DeltaError

from locus_stem.tables.commit import CommitConflictError
from locus_stem.tables.half_written import remove_half_written
from locus_stem.tables.lake import LakeError
from locus_stem.tables.loads import forget_loads
from locus_stem.tables.maintenance import Maintained, maintain, tables_of
from locus_stem.tables.staging import oldest_staged, remove_abandoned

if TYPE_CHECKING:
    from locus_stem.tables.lake import Lake

__all__ = ["LakeReport", "maintain_lake"]

log = logging.getLogger(__name__)

#: After so long no further partition is compacted; vacuum and log expiry still end.
COMPACTION = timedelta(hours=3)


@dataclass(slots=True)
class LakeReport:
    """What was done.

    :param tables: what was done with each table
    :param staging: bytes of each abandoned staging folder that was removed
    :param half_written: bytes of each file that a killed process never finished, and that was removed
    :param forgotten: answers of old loads that need not be known any more
    :param errors: what failed, by table, or ``_staging``; the others are done nevertheless
    """

    tables: dict[str, Maintained] = field(default_factory=dict)
    staging: dict[str, int] = field(default_factory=dict)
    half_written: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The report for people."""
        return [
            *(f"{name}: {done}" for name, done in self.tables.items()),
            f"staging: {len(self.staging)} abandoned folders removed, {sum(self.staging.values()) / 1e6:.1f} MB freed",
            f"half-written files: {len(self.half_written)} removed, "
            f"{sum(self.half_written.values()) / 1e6:.1f} MB freed",
            f"loads: {self.forgotten} old answers forgotten",
            *(f"{name}: failed: {error}" for name, error in self.errors.items()),
        ]

    @property
    def failure(self) -> str | None:
        """Why the task must fail, if it must."""
        if not self.errors:
            return None
        return "Maintenance failed of " + "; ".join(f"{name}: {error}" for name, error in self.errors.items())


def maintain_lake(lake: Lake, retention_days: int) -> LakeReport:
    """Maintain every table of the lake; remove staging and half-written files that are older than the retention.

    Loads whose answers were asked for before then, and before what is still staged, are forgotten: no load can put
    anything older in the place of theirs.
    """
    report = LakeReport()
    deadline = time.monotonic() + COMPACTION.total_seconds()
    before = datetime.now(UTC) - timedelta(days=retention_days)
    try:  # first: a full lake gets room
        report.staging = remove_abandoned(lake, before)
        report.half_written = remove_half_written(lake, before)
    except (OSError, LakeError) as error:
        log.exception("_staging: maintenance failed")
        report.errors["_staging"] = str(error)
    for name in tables_of(lake):
        log.info("%s …", name)
        try:
            report.tables[name] = maintain(lake, name, retention_days, deadline)
        except Exception as error:
            log.exception("%s: maintenance failed; the other tables go on", name)
            report.errors[name] = f"{type(error).__name__}: {error}"
    try:
        report.forgotten = forget_loads(lake, min(before, oldest_staged(lake) or before))
    except (OSError, DeltaError, LakeError, CommitConflictError) as error:
        log.exception("_loads: maintenance failed")
        report.errors["_loads"] = str(error)
    return report
