"""Every pipeline, killed after each of its effects in turn: requests, files, commits, removals and posts."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.effects import KillPoint
from support.killed_runs import PIPELINES, World
from support.tries import Zygote


@contextmanager
def new_world(folder, zygote):
    with Server(Fleet(sites=2), Options()) as server, Webhook() as webhook:
        yield World(zygote, server, webhook, Lake(f"file://{folder}/lake"), folder)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_that_is_killed_after_any_of_its_effects_ends_exact(tmp_path, ledger, name):
    worst, cases = 0, 0
    with Zygote() as zygote:
        with new_world(tmp_path / "whole", zygote) as world:
            whole = world.run(name)
        first = [(task, index) for task, index in whole.tries if index < 1]
        for task, index in first:
            for number in range(1, len(whole.effects(task, index)) + 1):
                with new_world(tmp_path / f"{task}-{number}", zygote) as world:
                    run = world.run(name, KillPoint("", number, "after"), task)
                    found = world.differences(name), world.left_in_staging(), world.refused()
                    assert found == ([], [], []), f"{task}, effect {number}: {run.effects(task, index)}"
                    assert run.killed == 1
                    assert world.repeated() <= world.lost()
                    worst, cases = max(worst, world.repeated()), cases + 1
    assert cases > 10
    dag_id = PIPELINES[name].dag_id
    ledger.add(f"each task of {dag_id} ({name})", f"after each of {cases} effects", 2, None, worst, 0, None)
