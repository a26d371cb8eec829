"""The alert operators against the sandbox and a webhook, both on real sockets."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from locus_stem.operators.alerts import LocusAlertDeliveryOperator, LocusAlertSyncOperator
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.alert_clocks import move_clocks
from support.serving import serving

SECRET = "hush-7f3a9"
TI = SimpleNamespace(dag_id="locus_alert_sync", run_id="r", task_id="sync", map_index=-1, try_number=1)


class Receiver(ThreadingHTTPServer):
    """A ticketing system: notes what it takes; ``answers`` maps a body to status and headers, or None to hang up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.headers, self.paths = [], [], []
        self.answers = lambda event: (204, {})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        answer = self.server.answers(event)
        if answer is None:
            self.close_connection = True
            return
        status, headers = answer
        if status < 300:
            self.server.taken.append(event)
            self.server.headers.append(self.headers)
        body = b"" if status == 204 else b"x" * 200_000
        self.send_response(status)
        for name, value in {**headers, **({"Content-Length": str(len(body))} if body else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """So many sites have alerts in any month, and new ones in any five days."""
    with Server(Fleet(sites=16), Options()) as running:
        yield running


@pytest.fixture
def receiver():
    with serving(Receiver()) as running:
        yield running


@pytest.fixture
def lake(tmp_path):
    return Lake(f"file://{tmp_path}/lake")


@pytest.fixture
def webhook(monkeypatch, receiver):
    def connect(**fields):
        connection = {"conn_type": "http", "host": receiver.url, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps(connection))

    connect()
    return connect


@pytest.fixture
def clock(server, monkeypatch):
    """Move the present, the sandbox's and the sync's."""
    return lambda **ahead: move_clocks(monkeypatch, server.fleet, timedelta(**ahead))


@pytest.fixture
def sync(run, lake):
    def synced(**arguments):
        return run(LocusAlertSyncOperator(task_id="sync", lake_uri=lake.uri, **arguments), ti=TI)

    return synced


@pytest.fixture
def deliver(run, lake):
    def delivered(conn_id="tickets", sync="success"):
        operator = LocusAlertDeliveryOperator(task_id="deliver", lake_uri=lake.uri, webhook_conn_id=conn_id)
        ti = SimpleNamespace(**vars(TI), get_task_states=lambda **_: {"r": {"sync": sync}})
        return run(operator, ti=ti, dag_run=SimpleNamespace(dag_id="locus_alert_sync", run_id="r"))

    return delivered


def alert_requests(server):
    return [served for served in server.log if served.path.endswith("/alerts")]


def test_a_sync_returns_counts_and_requests_and_writes_its_row_into_runs(sync, lake, server):
    result = sync()
    assert result["new"] == lake.read("locus_alerts").num_rows > 20
    assert (result["changed"], result["withdrawn"], result["unreadable"]) == (0, 0, 0)
    assert result["requests"] == len(alert_requests(server)) + 1 == 3  # and one for a token
    cursor = datetime.fromisoformat(result["cursor"])
    assert timedelta(minutes=60) <= datetime.now(UTC) - cursor < timedelta(minutes=62)
    (row,) = lake.read("runs").to_pylist()
    assert (row["task_id"], row["requests"], row["rows_new"]) == ("sync", 3, result["new"])
    assert sync()["requests"] == 2
    assert [(row["requests"], row["rows_new"]) for row in lake.read("runs").to_pylist()] == [
        (5, result["new"])
    ]


def test_updated_since_is_a_text_or_empty_and_a_wrong_one_asks_for_nothing(sync, server):
    for wrong in ("last week", "2999-01-01T00:00:00"):
        with pytest.raises(AirflowFailException, match=f"param updated_since='{wrong}'"):
            sync(updated_since=wrong)
    assert not server.log
    assert sync(updated_since="")["cursor"]
    assert sync(updated_since=f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%dT%H:%M}")["new"] > 0


def test_what_the_first_run_brings_is_posted_with_the_connections_login_and_headers(
    sync, deliver, webhook, receiver, lake
):
    webhook(login="me", password="pa55word", extra=json.dumps({"X-Team": "solar", "timeout": 5}))
    assert sync(webhook_conn_id="tickets")["new"] > 20
    result = deliver()
    assert result == {"posted": lake.read("locus_alert_history").num_rows, "left": 0}
    assert {event["alert_id"] for event in receiver.taken} == set(
        lake.read("locus_alerts").column("alert_id").to_pylist()
    )
    assert set(receiver.paths) == {f"/hooks/{SECRET}"}
    first = receiver.headers[0]
    assert first["Authorization"].startswith("Basic ")
    assert (first["X-Team"], first["Content-Type"]) == ("solar", "application/json")
    assert len({headers["Idempotency-Key"] for headers in receiver.headers}) == len(receiver.taken)
    assert deliver() == {"posted": 0, "left": 0}


def test_alerts_from_before_the_connections_first_run_are_not_posted(
    sync, deliver, webhook, receiver, clock, lake, caplog
):
    earlier = sync()["states_new"]
    clock(days=5)
    caplog.set_level("INFO")
    result = sync(webhook_conn_id="tickets")
    assert f"{earlier} earlier states of alerts are not posted" in caplog.text
    assert lake.read("_alert_deliveries").column("posted").to_pylist() == [False] * earlier
    assert result["states_new"] > 0
    assert deliver()["posted"] == result["states_new"] + result["withdrawn"] == len(receiver.taken)


def test_what_waits_is_delivered_though_the_sync_failed_and_the_run_fails_all_the_same(
    sync, deliver, webhook, receiver
):
    sync(webhook_conn_id="tickets")
    with pytest.raises(AirflowFailException, match="The sync failed: see the log of the task 'sync'"):
        deliver(sync="failed")
    assert receiver.taken
    with pytest.raises(AirflowFailException, match="The sync failed"):
        deliver(conn_id=None, sync="failed")


def test_a_delivery_without_a_sync_before_it_begins_with_what_comes_next(
    sync, deliver, webhook, receiver, clock
):
    sync()
    assert deliver() == {"posted": 0, "left": 0}
    clock(days=5)
    assert sync()["states_new"] <= deliver()["posted"] == len(receiver.taken) > 0


def test_a_webhook_that_is_down_fails_the_task_says_what_is_pending_and_delays_only(
    sync, deliver, webhook, receiver, clock
):
    states = sync(webhook_conn_id="tickets")["states_new"]
    for answer in ((503, {}), (500, {}), (429, {}), None):
        receiver.answers = lambda event, answer=answer: answer
        with pytest.raises(
            AirflowException, match=f"webhook connection 'tickets': .* {states} pending"
        ) as failed:
            deliver()
        assert not isinstance(failed.value, AirflowFailException)
        assert SECRET not in str(failed.value)
        assert failed.value.__cause__ is None
    clock(hours=9)
    states += sync(webhook_conn_id="tickets")["states_new"]
    receiver.answers = lambda event: (200, {})
    assert deliver()["posted"] == states
    told = [(event["alert_id"], event["updated"]) for event in receiver.taken]
    assert sorted(told) == sorted(told, key=lambda one: one[0])  # each alert's in order


def test_no_server_at_the_address_and_one_that_hangs_are_down_too(sync, deliver, webhook, receiver, caplog):
    sync(webhook_conn_id="tickets")
    webhook(host=f"http://127.0.0.1:9/{SECRET}")
    with pytest.raises(AirflowException, match="no connection") as failed:
        deliver()
    webhook(extra=json.dumps({"timeout": 0.3}))
    receiver.answers = lambda event: time.sleep(1)
    began = time.monotonic()
    with pytest.raises(AirflowException, match=r"no answer within 0\.3 s"):
        deliver()
    assert time.monotonic() - began < 3
    assert SECRET not in caplog.text + str(failed.value)


def test_an_alert_that_is_refused_is_named_and_the_others_are_posted(sync, deliver, webhook, receiver, lake):
    total = sync(webhook_conn_id="tickets")["states_new"]
    refused = lake.read("locus_alert_history").column("alert_id")[0].as_py()
    receiver.answers = lambda event: (422, {}) if event["alert_id"] == refused else (200, {})
    with pytest.raises(AirflowFailException, match=rf"{refused} \(HTTP 422\).* 1 in all"):
        deliver()
    assert len(receiver.taken) == total - 1
    receiver.answers = lambda event: (200, {})
    assert deliver() == {"posted": 1, "left": 0}


def test_a_redirect_is_not_followed_and_is_final(sync, deliver, webhook, receiver):
    webhook(login="me", password="pa55word")
    sync(webhook_conn_id="tickets")
    receiver.answers = lambda event: (307, {"Location": f"{receiver.url}/elsewhere"})
    with pytest.raises(AirflowFailException, match="HTTP 307, a redirect, which is not followed"):
        deliver()
    assert receiver.paths == [f"/hooks/{SECRET}"]


def test_without_a_webhook_the_delivery_is_skipped(deliver):
    for none in (None, ""):
        with pytest.raises(AirflowSkipException):
            deliver(none)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (None, "connection 'tickets' is not defined"),
        ({"conn_type": "locus"}, "isn't of the type 'http'"),
        ({"host": ""}, "field host is missing"),
        ({"host": "ftp://example.org"}, "allowed: http and https"),
        ({"extra": '{"timeout": "soon"}'}, "field timeout"),
        ({"extra": '{"proxy": "http://proxy:80"}'}, "field proxy .* allowed: an object"),
        ({"extra": '{"timeout": 3600}'}, "at most 60"),
    ],
)
def test_a_wrong_webhook_connection_is_named_by_the_delivery_and_keeps_no_alert_from_the_lake(
    sync, deliver, webhook, monkeypatch, lake, receiver, fields, said
):
    if fields is None:
        monkeypatch.delenv("AIRFLOW_CONN_TICKETS")
    else:
        webhook(**fields)
    states = sync(webhook_conn_id="tickets")["states_new"]
    assert lake.read("locus_alert_history").num_rows == states > 0
    with pytest.raises(AirflowFailException, match=said):
        deliver()
    webhook(conn_type="http", host=receiver.url, extra=None)
    assert deliver()["posted"] == states
