"""What the turns of one task have written: a task that gives its slot back tells it all at once, when it is done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.staging import Staging, StagingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locus_stem.tables.lake import Lake

FILE = "written.json"


def add_written(lake: Lake, run_scope: str, written: Mapping[str, LoadCounts]) -> dict[str, LoadCounts]:
    """Add a turn's rows by table to those of the run's earlier turns.

    :param run_scope: see :func:`locus_stem.pipelines.plan.scope`; removed with the run's staging.
    """
    staging = Staging(lake, f"{run_scope}.turns")
    with suppress(StagingError):  # it is the first one
        earlier = staging.read_json(FILE)
        written = summed({table: LoadCounts(**counts) for table, counts in earlier.items()}, written)
    staging.write_json(FILE, {table: asdict(counts) for table, counts in written.items()})
    return dict(written)
