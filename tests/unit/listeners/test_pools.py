from __future__ import annotations

import json
from pathlib import Path

from locus_stem import pools

POOLS_FILE = Path(__file__).parents[3] / "dags" / "pools.json"


def test_the_pools_file_says_what_the_package_makes():
    assert json.loads(POOLS_FILE.read_text()) == {
        pool.name: {"slots": pool.slots, "description": pool.description, "include_deferred": False}
        for pool in (pools.LOCUS, pools.STEM)
    }


def test_another_accounts_pool_has_the_connection_in_its_name():
    assert pools.pool_name(pools.LOCUS, "locus_default", "locus_default") == "locus_api"
    assert pools.pool_name(pools.LOCUS, "locus_west", "locus_default") == "locus_api__locus_west"


def test_only_this_packages_pools_are_made():
    assert pools.default_for("locus_api__locus_west") == pools.PoolDefault(
        "locus_api__locus_west", 1, pools.LOCUS.description
    )
    assert pools.default_for("stem_api").slots == 4
    assert pools.default_for("locus_apiary") is None
    assert pools.default_for("default_pool") is None
