from __future__ import annotations

from typing import Any

import pytest

from support.bulk import Bulk
from support.plant import Plant
from support.storage import Storage


@pytest.fixture
def plant(tmp_path):
    """Make plants: `plant(sites=…, **options of the server)`."""
    plants: list[Plant] = []

    def make(sites: int = 5, *, turn_seconds: float = 100.0, timeout: float = 60.0, **options: Any) -> Plant:
        lake_uri = f"file://{tmp_path}/lake{len(plants)}"
        plants.append(Plant.begun(lake_uri, sites, turn_seconds=turn_seconds, timeout=timeout, **options))
        return plants[-1]

    yield make
    for made in plants:
        made.end()


@pytest.fixture
def bulk(plant):
    def make(sites: int = 24, **options: Any) -> Bulk:
        return Bulk(plant(sites, **options))

    return make


@pytest.fixture
def storage(tmp_path):
    """Make storages: `storage(sites=…, **options of the server)`."""
    made: list[Storage] = []

    def make(sites: int = 6, **options: Any) -> Storage:
        made.append(Storage.begun(f"file://{tmp_path}/lake{len(made)}", sites, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()
