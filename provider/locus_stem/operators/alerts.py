"""Operators of the alert sync and of the delivery to a webhook."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskInstanceState,
)

from locus_stem.operators.account import FetchOperator, LocusOperator
from locus_stem.operators.pipeline import owner
from locus_stem.operators.retries import known_causes
from locus_stem.operators.turns import give_slot_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: So many refused alerts are named in the error.
NAMED = 20


class LocusAlertSyncOperator(LocusOperator, FetchOperator):
    """Load what changed of a partner's alerts into `locus_alert_history` and `locus_alerts`.

    :param updated_since: an instant, in UTC where it has no zone: read from there; empty: from the committed cursor,
        which this doesn't move past what was read (templated).
    :param webhook_conn_id: connection of type ``http`` that the alerts will be delivered to. In its first run the
        alerts there are before the sync are noted as known to it (templated).
    :return: alerts new, changed, unchanged and withdrawn; new states; objects that can't be read; the cursor; requests.
    """

    tables = ("locus_alert_history", "locus_alerts", "runs")
    template_fields: Sequence[str] = (*LocusOperator.template_fields, "updated_since", "webhook_conn_id")

    def __init__(
        self, *, updated_since: str | None = None, webhook_conn_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.updated_since = updated_since
        self.webhook_conn_id = webhook_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Sync until done or the turn is over."""
        from datetime import UTC, datetime

        from locus_stem.pipelines.alert_sync import sync_alerts
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.report import failure_recorded, record_sync
        from locus_stem.pipelines.slot import Turn
        from locus_stem.pipelines.written import add_written
        from locus_stem.planning.alerts import updated_since_from
        from locus_stem.tables.staging import remove_staging

        with known_causes(context):
            since = updated_since_from({"updated_since": self.updated_since}, datetime.now(UTC))
            hook, lake = self.hook(), self.lake()
            partner_id = hook.partner_id
            lake.check()
            if self.webhook_conn_id:
                _register(lake, self.webhook_conn_id)
            user = owner(context)
            with hook.get_conn() as client:
                turn = Turn(client)
                run = f"{user['dag_id']} {user['run_id']}"
                with failure_recorded(lake, user, turn):
                    synced = sync_alerts(lake, partner_id, turn, run=run, updated_since=since)
                usage = turn.usage()
            recorded, lines = record_sync(lake, user, usage, synced)
            for line in lines:
                self.log.info("%s", line)
            loaded = {
                "locus_alert_history": synced.history,
                "locus_alerts": synced.alerts,
                "runs": recorded,
            }
            run_scope = scope(user["dag_id"], user["run_id"])
            written, _ = add_written(lake, run_scope, loaded, turn.endpoints)
        if synced.left:
            give_slot_back(turn.wait_left)
        begin, end = (at.isoformat() if at else None for at in (synced.begin, synced.cursor))
        self.wrote(context, lake, written, start=begin, end=end)
        remove_staging(lake, run_scope)
        return {**synced.to_json(), "requests": usage.requests}


class LocusAlertDeliveryOperator(LocusOperator):
    """Post every new or changed alert to a webhook, at least once and in order for each alert.

    The body is the state as JSON, with the columns of `locus_alert_history` and `withdrawn_at`; the header
    ``Idempotency-Key`` is the same whenever a post is repeated. What was posted is kept for each connection.

    It delivers what waits even where the sync before it failed; then it fails after that, so that the run does.

    :param webhook_conn_id: connection of type ``http``; empty: the task is skipped (templated).
    :param sync_task_id: task that synced.
    :return: how many were posted and how many are left.
    """

    template_fields: Sequence[str] = (*LocusOperator.template_fields, "webhook_conn_id")

    def __init__(
        self, *, webhook_conn_id: str | None = None, sync_task_id: str = "sync", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.webhook_conn_id = webhook_conn_id
        self.sync_task_id = sync_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Post what is pending; then say whether the sync succeeded."""
        posted = self._deliver(context, self.webhook_conn_id) if self.webhook_conn_id else None
        ti, dag_run = context["ti"], context["dag_run"]
        states = ti.get_task_states(
            dag_id=dag_run.dag_id, task_ids=[self.sync_task_id], run_ids=[dag_run.run_id]
        )
        state = states.get(dag_run.run_id, {}).get(self.sync_task_id)
        if state in {TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED}:
            raise AirflowFailException(f"The sync failed: see the log of the task {self.sync_task_id!r}")
        if posted is None:
            raise AirflowSkipException("No webhook_conn_id: alerts are not delivered anywhere")
        return posted

    def _deliver(self, context: Context, conn_id: str) -> dict[str, Any]:
        from locus_stem.hooks.webhook import Webhook
        from locus_stem.pipelines.alert_delivery import deliver_alerts
        from locus_stem.pipelines.webhook_reply import Verdict

        name = f"webhook connection {conn_id!r}"
        with known_causes(context):
            lake = self.lake()
            webhook = Webhook(conn_id).check()
            _register(lake, conn_id)
            with webhook:
                delivered = deliver_alerts(lake, conn_id, webhook.post)
        self.log.info("%s: %d posted, %d pending", name, delivered.posted, delivered.left)
        if delivered.stopped is not None:
            message = (
                f"{name}: {delivered.stopped.reason}. {delivered.posted} posted, {delivered.left} pending; nothing is "
                "lost, the next run posts them in order"
            )
            if delivered.stopped.verdict in {Verdict.UNAVAILABLE, Verdict.FAILED}:
                raise AirflowException(message)
            raise AirflowFailException(f"{message}. Check the connection's host, login and headers")
        if delivered.waiting:
            named = ", ".join(f"{one} ({reply})" for one, reply in list(delivered.waiting.items())[:NAMED])
            error = AirflowException if delivered.again else AirflowFailException
            raise error(
                f"{name} doesn't take {len(delivered.waiting)} alert(s): {named}. They and their later states stay "
                f"pending, {delivered.left} in all, and are posted again in each run; {delivered.posted} were posted"
            )
        return {"posted": delivered.posted, "left": delivered.left}


def _register(lake: Lake, conn_id: str) -> None:
    """In a connection's first run note what there is already, which isn't posted; delivery checks its fields."""
    from datetime import UTC, datetime

    from locus_stem.tables.alert_deliveries import register

    known = register(lake, conn_id, datetime.now(UTC))
    if known is not None:
        log.info("Delivery to %r begins here; %d earlier states of alerts are not posted", conn_id, known)
