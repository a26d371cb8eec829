"""Airflow DAGs with sensors that a triggerer or the scheduler's workers look for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from locus_stem.sensors.locus import LocusDataAvailableSensor, LocusDataSensor

COMMON = {
    "start_date": datetime(2025, 1, 1, tzinfo=UTC),
    "params": {"site_id": 3000001, "until": "2025-10-01T12:00:00Z", "fields": "Wh_sum"},
}
QUICK = {"poke_interval": 1, "errors_for": timedelta(seconds=6)}

with DAG("deferred", schedule=None, **COMMON) as deferred:
    LocusDataSensor.partial(
        task_id="measured",
        site_id="{{ params.site_id }}",
        until="{{ params.until }}",
        deferrable=True,
        **QUICK,
    ).expand(fields=["Wh_sum", ["Wh_sum"], "Wh_sum"])

with DAG("late", schedule=None, **COMMON) as late:
    LocusDataAvailableSensor(task_id="wait", fields="Nope_sum", deferrable=True, timeout=4, **QUICK)

with DAG("failing", schedule=None, **COMMON) as failing:
    LocusDataAvailableSensor(task_id="deferred", fields="Wh_sum", deferrable=True, **QUICK)
    LocusDataAvailableSensor(task_id="rescheduled", fields="Wh_sum", **QUICK)
    LocusDataAvailableSensor(
        task_id="refused", fields="Wh_sum", conn_id="locus_wrong", deferrable=True, **QUICK
    )
