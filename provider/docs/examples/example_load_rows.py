"""Airflow DAG: one site's energy by an extraction of one's own, loaded exactly into the lake."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.endpoint import LocusEndpointOperator
from locus_stem.operators.inventory import LocusInventoryOperator
from locus_stem.operators.measurements import LoadMeasurementsOperator

with DAG(
    "own_extraction",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"site_id": 3000001, "folder": "s3://aws_default@my-bucket/extracted"},
) as dag:
    inventory = LocusInventoryOperator(task_id="inventory")
    extract = LocusEndpointOperator(
        task_id="extract",
        endpoint="get_site_data",
        arguments={
            "site_id": "{{ params.site_id }}",
            "fields": ["Wh_sum"],
            "gran": "hourly",
            "start": "{{ macros.ds_add(ds, -1) }}T00:00:00",
            "end": "{{ macros.ds_add(ds, -1) }}T23:59:59",
            "tz": "UTC",
        },
        path="{{ params.folder }}/{{ ds }}.jsonl",
    )
    load = LoadMeasurementsOperator(
        task_id="load",
        path="{{ ti.xcom_pull('extract')['path'] }}",
        level="site",
        granularity="hourly",
        entity_ids="{{ params.site_id }}",
        fields=["Wh_sum"],
        start="{{ macros.ds_add(ds, -1) }}T00:00:00+00:00",
        end="{{ ds }}T00:00:00+00:00",
    )
    inventory >> extract >> load
