from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import DAG

from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator


@pytest.fixture
def dag():
    with DAG("pools", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as made:
        yield made


@pytest.mark.parametrize(
    ("given", "pool"),
    [
        ({}, "locus_api"),
        ({"conn_id": "locus_default"}, "locus_api"),
        ({"conn_id": "locus_west"}, "locus_api__locus_west"),
        ({"conn_id": "locus_west", "pool": "mine"}, "mine"),
        ({"conn_id": "{{ params.account }}", "pool": "mine"}, "mine"),
        ({"default_args": {"pool": "mine"}}, "mine"),
        ({"pool": "default_pool"}, "default_pool"),
    ],
)
def test_a_task_takes_its_accounts_pool_mapped_or_not(dag, given, pool):
    given = {"endpoint": "get_site", **given}
    assert LocusEndpointOperator(task_id="one", **given).pool == pool
    mapped = LocusEndpointOperator.partial(task_id="mapped", **given).expand(arguments=[{"site_id": 1}])
    assert mapped.pool == pool


@pytest.mark.parametrize("name", ["conn_id", "pool"])
def test_the_dags_default_args_hold_for_mapped_tasks_too(name):
    with DAG("pools", schedule=None, default_args={name: "locus_west"}):
        one = LocusEndpointOperator(task_id="one", endpoint="get_site")
        mapped = LocusEndpointOperator.partial(task_id="mapped", endpoint="get_site").expand(arguments=[{}])
    assert mapped.pool == one.pool == {"conn_id": "locus_api__locus_west", "pool": "locus_west"}[name]


def test_stems_tasks_take_stems_pool(dag):
    assert StemEndpointOperator(task_id="one", endpoint="get_clients").pool == "stem_api"
    mapped = StemEndpointOperator.partial(task_id="mapped", endpoint="get_site", conn_id="stem_two")
    assert mapped.expand(arguments=[{"site_id": "a"}]).pool == "stem_api__stem_two"


def test_a_templated_connection_needs_a_pool(dag):
    with pytest.raises(ValueError, match="pool"):
        LocusEndpointOperator(task_id="one", endpoint="get_site", conn_id="{{ params.account }}")


def test_everything_is_given_by_keyword(dag):
    with pytest.raises(TypeError):
        LocusEndpointOperator("get_site", task_id="one")


def test_operators_import_nothing_heavy():
    code = (
        "import sys, locus_stem.operators.component_data, locus_stem.operators.endpoint\n"
        "print(*({'deltalake', 'pyarrow', 'aiohttp'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1:] in ([], [""]), done.stdout
