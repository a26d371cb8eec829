"""Rows, seconds and peak memory of loads into a month of hourly data.

    python benchmarks/load.py [folder]

Each load runs in a process of its own, so that its peak memory is its own. Staged parts hold about
100,000 rows of four fields, as an extract task writes them.
"""

from __future__ import annotations

import array
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from locus_stem.tables.lake import Lake
from locus_stem.tables.measurements import Asked, LoadCounts, load_measurements
from locus_stem.tables.schemas import INSTANT
from locus_stem.tables.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Callable

HOURS = 744
START = datetime(2024, 1, 1, tzinfo=UTC)
FIELDS = ("W_avg", "W_max", "Wh_sum", "PF_avg")
ENTITIES_A_PART = 134


def stage(
    lake: Lake,
    plan: str,
    entities: range,
    first_hour: int,
    hours: int,
    changed: Callable[[int], bool] = lambda entity: False,  # noqa: ARG005
) -> list[str]:
    """Write parts of (entity, hour) rows; entities that ``changed`` says have other values than before."""
    staging = Staging(lake, plan)
    staging.write_json("plan.json", {})
    parts = []
    first = int((START + timedelta(hours=first_hour)).timestamp()) * 1_000_000
    instants = [first + hour * 3_600_000_000 for hour in range(hours)]
    for number, low in enumerate(range(entities.start, entities.stop, ENTITIES_A_PART)):
        some = range(low, min(low + ENTITIES_A_PART, entities.stop))
        ts = pa.array(instants * len(some), pa.int64()).cast(INSTANT)
        columns = {
            "entity_id": pa.array([entity for entity in some for _ in range(hours)], pa.int64()),
            "ts": ts,
            "local_date": ts.cast(pa.date32()),
        }
        for place, field in enumerate(FIELDS):
            values = array.array("d")
            for entity in some:
                shift = 1.0 if changed(entity) and place == 0 else 0.0
                source = random.Random(entity * 10 + place)  # noqa: S311
                month = [source.random() + shift for _ in range(HOURS + 24)]
                values.extend(month[first_hour : first_hour + hours])
            columns[field] = pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(values)])
        manifest = staging.batch(number).commit_part(pa.table(columns), {})
        parts.append(str(manifest["part"]))
    return parts


def asked(entities: range, first_hour: int, hours: int) -> list[Asked]:
    """Return what was asked for ``stage``'s rows."""
    start = START + timedelta(hours=first_hour)
    return [
        Asked(entity, entity, "UTC", FIELDS, start, start + timedelta(hours=hours)) for entity in entities
    ]


def measured(title: str, lake: Lake, parts: list[str], wanted: list[Asked]) -> None:
    """Load in a process of its own and print what it took."""
    process = multiprocessing.get_context("spawn").Process(target=_load, args=(title, lake, parts, wanted))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


def _load(title: str, lake: Lake, parts: list[str], wanted: list[Asked]) -> None:
    begun = time.monotonic()
    counts: LoadCounts = load_measurements(lake, "locus_site_data", "hourly", parts, wanted)
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    rows = counts.new + counts.changed + counts.unchanged + counts.withdrawn
    print(
        f"{title:46} {rows:>11,} rows {seconds:6.1f} s {peak:6,.0f} MB  new {counts.new:,} "
        f"changed {counts.changed:,} unchanged {counts.unchanged:,} withdrawn {counts.withdrawn:,}",
        flush=True,
    )


def main(folder: Path) -> None:
    """Run all loads in folders below ``folder``."""
    print(f"{os.cpu_count()} cores")
    lake = Lake((folder / "small").as_uri())
    lake.check()
    many = range(1, 4033)
    parts = stage(lake, "first", many, 0, HOURS)
    measured("3 million new rows into an empty month", lake, parts, asked(many, 0, HOURS))
    measured("the same again", lake, parts, asked(many, 0, HOURS))
    later = stage(lake, "later", many, HOURS - 24, 24, changed=lambda entity: entity % 2 == 0)
    measured("96,000 rows into 3 million, half changed", lake, later, asked(many, HOURS - 24, 24))
    more = range(5001, 5130)
    measured(
        "96,000 new rows into 3 million", lake, stage(lake, "more", more, 0, HOURS), asked(more, 0, HOURS)
    )

    lake = Lake((folder / "large").as_uri())
    lake.check()
    fleet = range(1, 13441)
    parts = stage(lake, "first", fleet, 0, HOURS)
    measured("10 million new rows into an empty month", lake, parts, asked(fleet, 0, HOURS))
    measured("the same again", lake, parts, asked(fleet, 0, HOURS))
    parts = stage(lake, "second", fleet, 0, HOURS, changed=lambda entity: entity % 100 == 0)
    measured("10 million with 100,000 changed", lake, parts, asked(fleet, 0, HOURS))
    parts = stage(lake, "third", fleet, 0, HOURS, changed=lambda entity: entity % 100 != 0)
    measured("10 million, all changed", lake, parts, asked(fleet, 0, HOURS))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
