"""Airflow DAG: open alerts of a site, into XCom, every hour."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from locus_stem.operators.endpoint import LocusEndpointOperator

with DAG(
    "site_alerts", schedule="@hourly", start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False
) as dag:
    LocusEndpointOperator(
        task_id="open_alerts",
        endpoint="get_site_alerts",
        arguments={"site_id": 3000001, "status": "open", "tz": "UTC"},
        keys=["id", "alertType", "priority", "start"],
    )
