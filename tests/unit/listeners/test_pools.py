from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from locus_stem import pools
from locus_stem.listeners.missing_pools import _needed

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


def test_a_pool_that_a_user_named_for_a_task_of_this_package_is_made_with_one_slot():
    ours = SimpleNamespace(pool="mine", _task_module="locus_stem.operators.backfill")
    theirs = SimpleNamespace(pool="theirs", _task_module="airflow.providers.standard.operators.bash")
    default = SimpleNamespace(pool="locus_api__west", _task_module="locus_stem.operators.backfill")
    found = _needed(SimpleNamespace(dag=SimpleNamespace(tasks=[ours, theirs, default])))
    assert {name: pool.slots for name, pool in found.items()} == {"mine": 1, "locus_api__west": 1}
