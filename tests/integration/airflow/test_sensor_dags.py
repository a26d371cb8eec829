"""The sensors in DAGs of users, under `dag.test()`: rescheduled and deferred, found, failing, skipped."""

from __future__ import annotations

import json
import runpy
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server

FOLDER = Path(__file__).parent / "user_dags"
MODES = ("rescheduled", "deferred")


@pytest.fixture
def serve(connect, dags_folder, database):
    dags_folder(FOLDER)
    running = []

    def start(**options):
        server = Server(Fleet(sites=4), Options(**options)).__enter__()
        running.append(server)
        connect(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture
def dags(serve):
    return runpy.run_path(str(FOLDER / "sensors.py"))


def states(run):
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def hour_with_a_value(fleet, now):
    """The last hour of yesterday in which the first site has energy."""
    rows = fleet.truth_site_data(
        fleet.site_ids[0], "hourly", now - timedelta(days=2), now - timedelta(days=1), ["Wh_sum"]
    )
    return next(row["ts"] for row in reversed(rows) if row["Wh_sum"] is not None)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_sensor_finds_is_its_return_value(dags, serve, mode, capfd):
    server = serve()
    hour = hour_with_a_value(server.fleet, datetime.now(UTC))
    conf = {
        "site_id": server.fleet.site_ids[0],
        "until": (hour + timedelta(hours=1)).isoformat(),
        "stem_site": server.fleet.stem.site_ids[0],
    }
    run = dags[mode].test(run_conf=conf)
    assert states(run) == {"measured": "success", "stream": "success", "told": "success"}
    assert f"found {hour.isoformat()} MONITOR" in "".join(capfd.readouterr())
    assert max(served.in_flight for served in server.log) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_waits_until_the_servers_clock_has_passed_the_moment(dags, serve, mode):
    server = serve()
    now = datetime.now(UTC)
    hour = hour_with_a_value(server.fleet, now)
    server.fleet.set_now(hour + timedelta(minutes=59))
    conf = {
        "site_id": server.fleet.site_ids[0],
        "until": (hour + timedelta(hours=1)).isoformat(),
        "stem_site": server.fleet.stem.site_ids[0],
    }

    def pass_the_moment():
        while sum(served.path.endswith("/data") for served in server.log) < 3:
            time.sleep(0.05)
        passed.append(time.monotonic())
        server.fleet.set_now(hour + timedelta(hours=1))

    passed = []
    thread = threading.Thread(target=pass_the_moment, daemon=True)
    thread.start()
    run = dags[mode].test(run_conf=conf)
    assert states(run) == {"measured": "success", "stream": "success", "told": "success"}
    looks = [served.arrived for served in server.log if served.path.endswith("/data")]
    assert len([at for at in looks if at > passed[0]]) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_alert_that_opens_after_the_run_began_is_found_and_none_that_was_open(dags, serve, mode):
    server = serve()
    now = datetime.now(UTC)
    shown = now - timedelta(hours=1, minutes=5)  # what has opened since may have been shown late: it is meant
    before = {alert["id"] for alert in server.fleet.truth_alerts() if alert["start"] < shown}
    server.fleet.set_now(now + timedelta(days=60))  # so few sites have quiet weeks
    later = [alert for alert in server.fleet.truth_alerts() if alert["start"] > now + timedelta(hours=1)]
    first = min(later, key=lambda alert: alert["start"])
    server.fleet.set_now(now)

    def pass_the_moment():
        while sum(served.path.endswith("/alerts") for served in server.log) < 2:
            time.sleep(0.05)
        server.fleet.set_now(first["start"] + timedelta(hours=1))

    threading.Thread(target=pass_the_moment, daemon=True).start()
    run = dags[f"alert_{mode}"].test()
    assert states(run) == {"wait": "success"}
    found = run.get_task_instance("wait").xcom_pull(task_ids="wait")
    assert first["id"] in {alert["id"] for alert in found}
    assert not before & {alert["id"] for alert in found}


@pytest.mark.parametrize("mode", MODES)
def test_errors_in_a_row_end_the_sensor_when_they_have_lasted_too_long(dags, serve, mode, capfd):
    server = serve(faults=(Fault("500", 1.0),), fault_streak=10**6)
    began = time.monotonic()
    run = dags[f"failing_{mode}"].test()
    assert states(run) == {"wait": "failed"}
    assert 3 <= time.monotonic() - began < 60  # 4 s, from an instant that is kept in whole seconds
    assert run.get_task_instance("wait").try_number == 1
    assert len(server.log) >= 2
    printed = "".join(capfd.readouterr())
    assert "Every look has failed for" in printed
    assert "errors_for allows" in printed
    assert "send the vendor's support this path and time" in printed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["failing", "soft"])
def test_refused_credentials_fail_at_once_with_the_same_message_or_skip(
    dags, serve, mode, kind, monkeypatch, capfd
):
    server = serve()
    connection = {**sandbox_connections(server.url)["locus_default"], "password": "wrong-one"}
    monkeypatch.setenv("AIRFLOW_CONN_LOCUS_DEFAULT", json.dumps(connection))
    run = dags[f"{kind}_{mode}"].test()
    assert states(run) == {"wait": "skipped" if kind == "soft" else "failed"}
    assert [served.path for served in server.log] == ["/oauth/token"]
    printed = "".join(capfd.readouterr())
    assert "wrong-one" not in printed
    if kind == "failing":
        assert "connection 'locus_default'" in printed
        assert "password" in printed
