"""Airflow DAGs in which every task fails at a server that gives back what it was sent."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from locus_stem.operators.alerts import LocusAlertDeliveryOperator
from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator
from locus_stem.sensors.locus import LocusDataAvailableSensor

COMMON = {"start_date": datetime(2025, 1, 1, tzinfo=UTC), "default_args": {"retries": 0}}
#: Ids of connections by what they are for.
IDS = json.loads(os.environ["SECRET_TEST_CONNECTIONS"])
FREE = {"pool": "default_pool"}

with DAG("secret_asks", schedule=None, **COMMON) as asks:
    LocusEndpointOperator.partial(
        task_id="locus", endpoint="get_partner_clients", arguments={"partner_id": 1}, **FREE
    ).expand(conn_id=IDS["final"])
    StemEndpointOperator.partial(task_id="stem", endpoint="get_clients", **FREE).expand(conn_id=IDS["stem"])

with DAG("secret_webhooks", schedule=None, **COMMON) as webhooks:
    for name in IDS["webhooks"]:
        LocusAlertDeliveryOperator(task_id=name, webhook_conn_id=name)

with DAG("secret_looks", schedule=None, **COMMON) as looks:
    LOOK = {"fields": "Wh_sum", "poke_interval": 1, "errors_for": timedelta(0), "partner_id": 1}
    LocusDataAvailableSensor.partial(task_id="rescheduled", **LOOK, **FREE).expand(conn_id=IDS["later"][::2])
    LocusDataAvailableSensor.partial(task_id="deferred", deferrable=True, **LOOK, **FREE).expand(
        conn_id=IDS["final"][:3] + IDS["later"]
    )

with DAG("secret_wait", schedule=None, **COMMON) as waits:
    LocusDataAvailableSensor(
        task_id="waits", fields="Nope_sum", partner_id=1, deferrable=True, poke_interval=1, timeout=600
    )
