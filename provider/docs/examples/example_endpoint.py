"""Airflow DAG: alerts of a site that were open yesterday, into XCom."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.endpoint import LocusEndpointOperator

with DAG("site_alerts", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False) as dag:
    LocusEndpointOperator(
        task_id="alerts",
        endpoint="get_site_alerts",
        arguments={
            "site_id": 3000001,
            "open_during_min": "{{ macros.ds_add(ds, -1) }}T00:00:00",
            "open_during_max": "{{ ds }}T00:00:00",
            "tz": "UTC",
        },
        keys=["id", "alertType", "priority", "start"],
    )
