"""The DAG `locus_alert_sync`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param

from locus_stem import pools
from locus_stem.dags.account import LocusAccount
from locus_stem.dags.params import no_others
from locus_stem.dags.wiring import account_dag
from locus_stem.operators.alerts import LocusAlertDeliveryOperator, LocusAlertSyncOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import DAG

#: A run that fails is over within minutes: the next one does what it left.
RETRIES = {"retries": 2, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": False}

DOC = """
### Alerts as they open, change and close

**sync → deliver.** Asks for the alerts that changed since the last run: one request. Clocks that differ by half an
hour, late and failed runs lose nothing; after an outage of any length the run catches up and says so in its log. Once a
day it also asks for the open alerts: one that the API no longer has gets `withdrawn_at`.

With a **webhook connection** (an Airflow connection of type `http`) every new or changed alert is then posted to it as
JSON, at least once and in order for each alert; the header `Idempotency-Key` tells repeats. It begins with the
connection's first run. While the webhook is down alerts wait for it, and the sync goes on.

Tables: `locus_alerts` (newest state), `locus_alert_history` (every state), `runs`.
"""


def locus_alert_sync(
    account: LocusAccount | None = None,
    *,
    schedule: str = "*/15 * * * *",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the alert sync's DAG for one account.

    :param schedule: cron, in UTC.
    :param defaults: other defaults of the params than the usual ones, such as a ``webhook_conn_id``.
    """
    account = account or LocusAccount()
    webhook = "{{ params.webhook_conn_id or '' }}"
    with account_dag(
        account,
        "locus_alert_sync",
        schedule=schedule,
        doc=DOC,
        tags=["locus", "alerts"],
        params=alert_params(),
        defaults=defaults,
        default_args={**RETRIES, "execution_timeout": timedelta(minutes=10)},
    ) as dag:
        synced = LocusAlertSyncOperator(
            task_id="sync",
            updated_since="{{ params.updated_since or '' }}",
            webhook_conn_id=webhook,
            pre_execute=no_others(dag.params),
            **{**account.fetch_args, "priority_weight": pools.ALERT_PRIORITY},
        )
        synced >> LocusAlertDeliveryOperator(
            task_id="deliver",
            webhook_conn_id=webhook,
            trigger_rule="all_done",  # what waits for the webhook doesn't wait for the API
            max_active_tis_per_dag=1,
            **account.task_args,
        )
    return dag


def alert_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        "updated_since": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Updated since",
            description="Read again what changed since then (UTC, unless an offset is given). Empty: since the last "
            "run. The next ordinary run goes on from where the last one stopped either way.",
        ),
        "webhook_conn_id": Param(
            None,
            type=["null", "string"],
            title="Webhook connection",
            description="Id of an Airflow connection of type `http` that new and changed alerts are posted to. Empty: "
            "none.",
        ),
    }
