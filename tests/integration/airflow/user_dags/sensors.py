"""DAGs as users write them with the sensors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from locus_stem.sensors.locus import LocusAlertSensor, LocusDataAvailableSensor, LocusDataSensor
from locus_stem.sensors.stem import StemStreamAvailableSensor

COMMON = {
    "start_date": datetime(2025, 1, 1, tzinfo=UTC),
    "params": {"site_id": 3000001, "until": "2025-10-01T12:00:00Z", "fields": "Wh_sum", "stem_site": "a"},
    "default_args": {"retries": 3, "retry_delay": timedelta(seconds=1)},
}
QUICK = {"poke_interval": 1, "errors_for": timedelta(seconds=4)}


def add_sensors(*, deferrable):
    """Wait for measurements, then for a field, and hand on what was found."""
    measured = LocusDataSensor(
        task_id="measured",
        site_id="{{ params.site_id }}",
        fields="{{ params.fields }}",
        until="{{ params.until }}",
        deferrable=deferrable,
        **QUICK,
    )
    stream = StemStreamAvailableSensor(
        task_id="stream", site_id="{{ params.stem_site }}", deferrable=deferrable, **QUICK
    )

    @task
    def told(found, start):
        """Print what the sensors found."""
        print("found", found["Wh_sum"]["ts"], start["stream_type"])  # noqa: T201

    told(measured.output, stream.output)


with DAG("rescheduled", schedule=None, **COMMON) as rescheduled:
    add_sensors(deferrable=False)

with DAG("deferred", schedule=None, **COMMON) as deferred:
    add_sensors(deferrable=True)

with DAG("failing_rescheduled", schedule=None, **COMMON) as failing_rescheduled:
    LocusDataAvailableSensor(task_id="wait", fields="{{ params.fields }}", **QUICK)

with DAG("failing_deferred", schedule=None, **COMMON) as failing_deferred:
    LocusDataAvailableSensor(task_id="wait", fields="{{ params.fields }}", deferrable=True, **QUICK)

with DAG("soft_rescheduled", schedule=None, **COMMON) as soft_rescheduled:
    LocusDataAvailableSensor(task_id="wait", fields="{{ params.fields }}", soft_fail=True, **QUICK)

with DAG("soft_deferred", schedule=None, **COMMON) as soft_deferred:
    LocusDataAvailableSensor(
        task_id="wait", fields="{{ params.fields }}", soft_fail=True, deferrable=True, **QUICK
    )

with DAG("alert_rescheduled", schedule=None, **COMMON) as alert_rescheduled:
    LocusAlertSensor(task_id="wait", **QUICK)

with DAG("alert_deferred", schedule=None, **COMMON) as alert_deferred:
    LocusAlertSensor(task_id="wait", deferrable=True, **QUICK)
