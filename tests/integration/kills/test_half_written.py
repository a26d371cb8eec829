"""What dies in the middle of writing leaves half a file: no reader sees it, and the maintenance removes it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from locus_stem.pipelines.maintenance import maintain_lake
from support.effects import KillPoint

LONG_AGO = time.time() - 40 * 86_400


def files(world):
    _, base = world.lake.filesystem()
    return {str(path.relative_to(base)) for path in Path(base).rglob("*") if path.is_file()}


def let_grow_old(world):
    for name in files(world):
        os.utime(Path(world.lake.filesystem()[1], name), (LONG_AGO, LONG_AGO))


def unfinished(world):
    return {name for name in files(world) if "#" in name or name.startswith(".probe") or ".tmp" in name}


@pytest.mark.parametrize(
    ("name", "task", "effect"),
    [("sites", "load", "commit"), ("alerts", "sync", "commit:locus_alerts"), ("alerts", "deliver", "commit")],
)
def test_half_a_data_file_stays_until_the_maintenance(world, name, task, effect):
    run = world.run(name, KillPoint(effect, 1, "during"), task)
    assert run.killed == 1
    (left,) = unfinished(world)
    assert left.endswith("#1")
    assert maintain_lake(world.lake, 30).half_written == {}  # it may be being written still
    assert unfinished(world) == {left}
    let_grow_old(world)
    report = maintain_lake(world.lake, 30)
    assert report.half_written.keys() == {left}
    assert report.errors == {}
    assert unfinished(world) == set()
    assert world.differences(name) == []


def test_a_probe_that_was_not_removed_and_staging_of_a_run_that_never_went_on_go_too(world):
    with pytest.raises(AssertionError):
        world.run(
            "sites", before={"load": lambda: (_ for _ in ()).throw(AssertionError("the run is given up"))}
        )
    base = Path(world.lake.filesystem()[1])
    (base / ".probe-0123").write_text("probe")
    assert len(world.left_in_staging()) > 5
    let_grow_old(world)
    report = maintain_lake(world.lake, 30)
    assert len(report.staging) == 2  # the plan, and what its turns used
    assert report.half_written.keys() == {".probe-0123"}
    assert world.left_in_staging() == []
