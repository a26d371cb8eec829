"""Airflow DAG: wait for a day's measurements of a site and of a battery, then for what depends on them."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from locus_stem.sensors.locus import LocusAlertSensor, LocusDataSensor
from locus_stem.sensors.stem import StemStreamSensor

with DAG(
    "when_measured",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"site_id": 3000001, "storage": "Warehouse 1"},
) as dag:
    solar = LocusDataSensor(
        task_id="solar",
        site_id="{{ params.site_id }}",
        fields=["Wh_sum"],
        until="{{ ds }}T00:00:00+00:00",
        timeout=timedelta(hours=12),
    )
    storage = StemStreamSensor(
        task_id="storage", site_id="{{ params.storage }}", until="{{ ds }}T00:00:00+00:00", deferrable=True
    )
    LocusAlertSensor(
        task_id="fault",
        site_id="{{ params.site_id }}",
        since="{{ macros.ds_add(ds, -400) }}T00:00:00+00:00",
    )
