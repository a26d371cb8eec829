"""The lake's disk is full, or closed to writes: the error says what to do, and what comes after it is exact."""

from __future__ import annotations

import threading
import time

import pytest

from locus_stem.tables.lake import Lake
from support.disk import NO_DISK, small_disk
from support.tries import RunFailedError

#: Bytes; enough for the runs below.
SIZE = 16 << 20


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", SIZE) as made:
        if made is None:
            pytest.skip(NO_DISK)
        yield made


@pytest.fixture
def world(world, disk):
    world.lake = Lake(f"file://{disk.folder}/lake")
    return world


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("sites", "plan"), ("sites", "extract"), ("sites", "load"), ("sites", "report"), ("bulk", "load"),
        ("stem", "load"), ("inventory", "inventory"), ("alerts", "sync"), ("alerts", "deliver"),
    ],
)  # fmt: skip
def test_a_full_lake_is_retried_and_exact_once_there_is_room(world, disk, name, task):
    (disk.folder / "lake").mkdir()
    world.mended = disk.make_room
    run = world.run(name, before={task: disk.fill})
    assert run.killed == 1
    assert f"LakeUnavailableError: lake {world.lake.uri}: no space is left" in run.log
    assert world.differences(name) == []
    assert world.left_in_staging() == []
    assert world.repeated() == 0  # it was noticed before anything was asked


def test_a_lake_that_fills_up_while_answers_are_staged_costs_those_of_one_part(world, disk):
    world.slow_down()
    world.settings["locus_stem.pipelines.extract.PART_SECONDS"] = 0.2
    world.mended = disk.make_room

    def fill_soon() -> None:
        def wait_and_fill() -> None:
            while sum(one.path.endswith("/data") for one in world.server.log) < 5:
                time.sleep(0.01)
            disk.fill()

        threading.Thread(target=wait_and_fill, daemon=True).start()

    run = world.run("components", before={"extract": fill_soon})
    assert run.killed == 1
    assert f"LakeUnavailableError: lake {world.lake.uri}: no space is left" in run.log
    assert world.differences("components") == []
    assert world.left_in_staging() == []
    assert 0 < world.repeated() < 8  # of 13


@pytest.mark.parametrize(("name", "task"), [("sites", "extract"), ("sites", "load"), ("alerts", "sync")])
def test_a_closed_lake_fails_at_once_and_the_cleared_task_ends_exact(world, disk, name, task):
    (disk.folder / "lake").mkdir()
    with pytest.raises(
        RunFailedError, match=f"LakeError: lake {world.lake.uri}: .* (can't be written|is closed)"
    ):
        world.run(name, before={task: disk.close})
    disk.open()
    world.run(name, cleared=world.last)
    assert world.differences(name) == []
    assert world.left_in_staging() == []
    assert world.repeated() == 0
