from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG

from locus_stem.operators.alerts import LocusAlertDeliveryOperator, LocusAlertSyncOperator
from locus_stem.operators.backfill import (
    LoadBackfillOperator,
    LocusExtractOperator,
    LocusPlanBackfillOperator,
)
from locus_stem.operators.inventory import LocusInventoryOperator
from locus_stem.operators.stem import StemExtractStreamsOperator, StemPlanStreamsOperator


@pytest.mark.parametrize(
    ("operator", "pool"),
    [
        (LocusInventoryOperator, "locus_api"),
        (LocusPlanBackfillOperator, "locus_api"),
        (LocusAlertSyncOperator, "locus_api"),
        (StemPlanStreamsOperator, "stem_api"),
    ],
)
def test_a_task_that_asks_the_api_takes_its_accounts_pool_unless_another_is_named(operator, pool):
    assert operator(task_id="t").pool == pool
    assert operator(task_id="t", conn_id="west").pool == f"{pool}__west"
    assert operator(task_id="t", pool="mine").pool == "mine"
    with DAG("d", schedule=None, default_args={"pool": "of_the_dag"}):
        assert operator(task_id="t").pool == "of_the_dag"
    with pytest.raises(ValueError, match="a templated conn_id"):
        operator(task_id="t", conn_id="{{ params.conn_id }}")


@pytest.mark.parametrize(
    ("operator", "pool"), [(LocusExtractOperator, "locus_api"), (StemExtractStreamsOperator, "stem_api")]
)
def test_so_do_mapped_ones(operator, pool):
    with DAG("d", schedule=None):
        assert operator.partial(task_id="t").expand(batch=["a"]).pool == pool
        assert operator.partial(task_id="u", conn_id="west").expand(batch=["a"]).pool == f"{pool}__west"


def test_loads_and_deliveries_take_no_slot_of_the_api():
    assert LoadBackfillOperator(task_id="t", staging="").pool == "default_pool"
    assert LocusAlertDeliveryOperator(task_id="t").pool == "default_pool"
