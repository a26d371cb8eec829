from __future__ import annotations

import pytest

from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.killed_runs import World
from support.tries import Zygote


@pytest.fixture(scope="session")
def zygote():
    with Zygote() as running:
        yield running


@pytest.fixture
def world(tmp_path, zygote):
    made = Server(Fleet(sites=3), Options()).__enter__()
    with Webhook() as webhook:
        world = World(zygote, made, webhook, Lake(f"file://{tmp_path}/lake"), tmp_path)
        yield world
    world.server.__exit__(None, None, None)
