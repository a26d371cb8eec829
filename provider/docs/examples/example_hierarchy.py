"""Airflow DAG: from the partner to its sites, to their components, to a file of data a site."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.component_data import locus_hierarchy_data

with DAG(
    "hierarchy",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"folder": "s3://aws_default@my-bucket/components"},
) as dag:
    locus_hierarchy_data(
        folder="{{ params.folder }}/{{ ds }}",
        gran="hourly",
        start="{{ macros.ds_add(ds, -1) }}T00:00:00",
        end="{{ macros.ds_add(ds, -1) }}T23:59:59",
        fields=["Wh_sum"],
    )
