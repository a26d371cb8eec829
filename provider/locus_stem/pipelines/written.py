"""What the turns and tries of one task read and wrote: its event tells it all at once, when it is done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.staging import Staging, StagingError
from locus_stem.tables.state import state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from locus_stem.tables.lake import Lake

FILE = "written.json"
BEFORE = "version_before.json"


def add_written(
    lake: Lake, run_scope: str, written: Mapping[str, LoadCounts], endpoints: Collection[str]
) -> tuple[dict[str, LoadCounts], list[str]]:
    """Add a turn's rows by table, and the paths of the endpoints that it asked, to the run's earlier turns'.

    :param run_scope: see :func:`locus_stem.pipelines.plan.scope`; removed with the run's staging.
    """
    staging = Staging.of_turns(lake, run_scope)
    with suppress(StagingError):  # it is the first one
        earlier = staging.read_json(FILE)
        before = {table: LoadCounts(**counts) for table, counts in earlier["written"].items()}
        written, endpoints = summed(before, written), {*earlier["endpoints"], *endpoints}
    contents = {
        "written": {table: asdict(counts) for table, counts in written.items()},
        "endpoints": sorted(endpoints),
    }
    staging.write_json(FILE, contents)
    return dict(written), sorted(endpoints)


def version_before(lake: Lake, staging: Staging, table: str) -> int | None:
    """Give the table's version before the first try of a load, None where there was no table.

    A try that is killed has committed months that the next one counts as unchanged: so the first try's is kept.
    """
    try:
        found: int | None = staging.read_json(BEFORE)["version"]
    except StagingError:
        state = state_of(lake, table)
        found = state.version if state else None
        staging.write_json(BEFORE, {"version": found})
    return found
