"""Airflow DAG: an inverter that is known by its node id: its power of yesterday, its energy of all years."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.component_data import LocusComponentDataOperator, LocusLifetimeEnergyOperator

with DAG(
    "inverter",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"node": "0080A3A5E1F0"},
) as dag:
    LocusComponentDataOperator(
        task_id="power",
        component_node_id="{{ params.node }}",
        gran="hourly",
        start="{{ macros.ds_add(ds, -1) }}T00:00:00",
        end="{{ macros.ds_add(ds, -1) }}T23:59:59",
        fields=["W_avg"],
    )
    LocusLifetimeEnergyOperator(task_id="energy", component_node_id="{{ params.node }}")
