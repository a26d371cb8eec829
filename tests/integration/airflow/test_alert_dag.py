"""The alert DAG under `dag.test()`: the sandbox and a webhook over real sockets."""

from __future__ import annotations

import json
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from locus_stem.dags.alert_sync import locus_alert_sync
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from support.alert_clocks import move_clocks
from support.serving import serving


@pytest.fixture
def server():
    """So many sites have alerts in any month, and new ones in any five days."""
    with Server(Fleet(sites=16), Options()) as running:
        yield running


@pytest.fixture
def tickets(monkeypatch):
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as receiver:
        connection = {
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": receiver.server_port,
            "schema": "http",
        }
        monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps(connection))
        yield taken


def states(run):
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def test_alerts_land_in_both_tables_and_nothing_is_delivered_without_a_webhook(lake, server, tickets, caplog):
    caplog.set_level("INFO")
    run = locus_alert_sync().test()
    assert states(run) == {"sync": "success", "deliver": "skipped"}
    assert str(run.state) == "success"
    truth = {alert["id"]: alert for alert in server.fleet.truth_alerts()}
    rows = lake.read("locus_alerts").to_pylist()
    assert len(rows) > 20
    assert all(row["updated"] == truth[row["alert_id"]]["updated"] for row in rows)
    recent = {one for one, alert in truth.items() if "end" not in alert}
    assert recent <= {row["alert_id"] for row in rows}
    assert lake.read("locus_alert_history").num_rows == len(rows)
    assert "The first sync: alerts of the last 31 days, 2 requests" in caplog.text
    assert tickets == []


def test_with_a_webhook_every_new_state_is_posted(lake, server, tickets, monkeypatch):
    locus_alert_sync().test()
    move_clocks(monkeypatch, server.fleet, timedelta(days=5))
    before = lake.read("locus_alert_history").num_rows
    run = locus_alert_sync(defaults={"webhook_conn_id": "tickets"}).test()
    assert states(run) == {"sync": "success", "deliver": "success"}
    assert len(tickets) == lake.read("locus_alert_history").num_rows - before > 0


def test_a_param_reads_again_from_an_instant_and_leaves_the_cursor_to_the_next_run(lake, server):
    run = locus_alert_sync().test(run_conf={"updated_since": "2025-01-01T00:00:00+00:00"})
    assert states(run)["sync"] == "success"
    asked = [served for served in server.log if served.path.endswith("/alerts")]
    assert "2024-12-" in asked[0].query
    assert len(asked) > 10
    server.reset()
    locus_alert_sync().test()
    assert len([served for served in server.log if served.path.endswith("/alerts")]) == 2


def test_a_wrong_webhook_connection_fails_the_run_after_the_alerts_are_loaded(lake, capfd):
    run = locus_alert_sync().test(run_conf={"webhook_conn_id": "nowhere"})
    assert states(run) == {"sync": "success", "deliver": "failed"}
    assert str(run.state) == "failed"
    assert "connection 'nowhere' is not defined" in "".join(capfd.readouterr())
    assert lake.read("locus_alerts").num_rows > 0


def test_a_sync_that_fails_fails_the_run_without_a_webhook_too(lake, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW_CONN_LOCUS_DEFAULT", '{"conn_type": "locus", "extra": {"partner_id": 1}}')
    run = locus_alert_sync().test()
    assert states(run) == {"sync": "failed", "deliver": "failed"}
    assert str(run.state) == "failed"
    assert "The sync failed: see the log of the task 'sync'" in "".join(capfd.readouterr())
