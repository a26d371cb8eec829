"""Airflow DAG: yesterday's battery power of a Stem site, as JSON lines."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.endpoint import StemEndpointOperator

with DAG(
    "battery_power",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"site": "Warehouse 1", "folder": "s3://aws_default@my-bucket/battery"},
) as dag:
    StemEndpointOperator(
        task_id="streams",
        endpoint="get_site_streams",
        arguments={
            "site_id": "{{ params.site }}",
            "start": "{{ macros.ds_add(ds, -1) }}T00:00:00Z",
            "end": "{{ ds }}T00:00:00Z",
            "stream_type": ["CONVERTER"],
        },
        path="{{ params.folder }}/{{ ds }}.jsonl",
    )
