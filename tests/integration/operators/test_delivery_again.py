"""A webhook that is down for one alert for longer than a try: the delivery goes on with its retries."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from locus_stem.operators.alerts import LocusAlertDeliveryOperator
from locus_stem.tables.alert_deliveries import register
from locus_stem.tables.alerts import Read, load_alerts, read_states
from locus_stem.tables.lake import Lake
from support.serving import serving

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def webhook(monkeypatch):
    """A webhook that answers with the statuses given by alert id, else with 204; gives the ids that it took."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alert_id"]
            status = server.statuses.get(alert, 204)
            if status == 204:
                server.taken.append(alert)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.statuses, server.taken = {}, []
    address = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}"}
    monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps(address))
    with serving(server):
        yield server


@pytest.fixture
def lake(tmp_path):
    lake = Lake(f"file://{tmp_path}")
    register(lake, "tickets", NOW)
    return lake


def learn(lake, *alert_ids):
    alerts = [
        {"id": one, "start": "2026-05-04T10:00:00Z", "updated": "2026-05-04T11:00:00Z"} for one in alert_ids
    ]
    states, unreadable = read_states(alerts, NOW)
    assert not unreadable
    load_alerts(lake, states, read=Read(NOW - timedelta(days=1), NOW))


def deliver(lake):
    operator = LocusAlertDeliveryOperator(task_id="deliver", webhook_conn_id="tickets", lake_uri=lake.uri)
    context = {"ti": SimpleNamespace(try_number=1, max_tries=2)}
    return operator._deliver(context, "tickets")


@pytest.mark.parametrize(("status", "is_final"), [(429, False), (503, False), (500, True), (422, True)])
def test_an_alert_that_failed_twice_is_tried_again_if_it_may_work_later(lake, webhook, status, is_final):
    webhook.statuses = {1: status}
    learn(lake, 1)
    with pytest.raises(AirflowException):
        deliver(lake)
    learn(lake, 2)
    with pytest.raises(AirflowException, match=f"1 .HTTP {status}.") as failed:
        deliver(lake)
    assert isinstance(failed.value, AirflowFailException) is is_final
    assert webhook.taken == [2]
    webhook.statuses = {}
    assert deliver(lake) == {"posted": 1, "left": 0}
    assert webhook.taken == [2, 1]
