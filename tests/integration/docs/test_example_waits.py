"""The documentation's samples of sensors and of alerts, against the sandbox and a webhook on loopback."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from locus_stem.demo.webhook import Webhook
from locus_stem.hooks.locus import LocusHook
from locus_stem.tables.lake import Lake

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag

EXAMPLES = Path(__file__).parents[3] / "provider" / "docs" / "examples"
SITE = 3000001

pytestmark = pytest.mark.usefixtures("database", "server")


def states(run):
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def test_the_sensors_give_what_they_waited_for(server, example_bundle):
    dag = runpy.run_path(str(EXAMPLES / "example_sensors.py"))["dag"]
    assert {task.task_id: task.pool for task in dag.tasks} == {
        "solar": "locus_api",
        "storage": "default_pool",
        "fault": "locus_api",
    }
    conf = {"storage": server.fleet.stem.site_ids[1]}
    run = dag.test(logical_date=datetime(2025, 10, 2, tzinfo=UTC), run_conf=conf)
    assert states(run) == dict.fromkeys(("solar", "storage", "fault"), "success")
    found = {task: run.get_task_instance(task).xcom_pull(task_ids=task) for task in states(run)}
    assert found["solar"]["Wh_sum"]["value"] is not None
    assert datetime.fromisoformat(found["storage"]["end_datetime"]) >= datetime(2025, 10, 2, tzinfo=UTC)
    assert {alert["siteId"] for alert in found["fault"]} == {SITE}


# So many sites have an open alert at any time.
@pytest.mark.parametrize("server", [16], indirect=True)
def test_every_alert_reaches_the_webhook_of_the_example_and_open_ones_are_asked_in_sql(
    tmp_path, monkeypatch, dags_folder
):
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "example.py").write_text((EXAMPLES / "example_alert_webhook.py").read_text())
    dags_folder(folder)
    dag = DagBag(folder, bundle_path=folder).dags["locus_alert_sync"]
    assert dag.params["webhook_conn_id"] == "tickets"
    (tickets,) = json.loads((EXAMPLES / "connection_webhook.json").read_text()).values()
    with Webhook() as webhook:
        monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps({**tickets, "host": webhook.url}))
        assert states(dag.test()) == {"sync": "success", "deliver": "success"}
        posted = [post.alert["alert_id"] for post in webhook.posts]
    history = Lake(f"file://{tmp_path}/lake").read("locus_alert_history").to_pylist()
    assert sorted(posted) == sorted(row["alert_id"] for row in history)
    assert posted
    query = QueryBuilder().register("locus_alerts", DeltaTable(f"{tmp_path}/lake/locus_alerts"))
    found = pa.table(query.execute((EXAMPLES / "alerts_open.sql").read_text())).to_pylist()
    hook = LocusHook()
    now = datetime.now(UTC)
    begin, end = (f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (now - timedelta(days=30), now))
    answer = hook.get_partner_alerts(
        partner_id=hook.partner_id, status="open", tz="UTC", open_during_min=begin, open_during_max=end
    )
    assert answer
    assert {row["alert_id"] for row in found} >= {alert["id"] for alert in answer}


def test_the_webhooks_connection_is_one_that_delivery_takes(monkeypatch):
    from locus_stem.hooks.webhook import Webhook as Delivery

    (tickets,) = json.loads((EXAMPLES / "connection_webhook.json").read_text()).values()
    monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps(tickets))
    assert Delivery("tickets").check().conn_id == "tickets"
