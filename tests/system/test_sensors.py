"""The sensors in a real Airflow: a triggerer that looks, workers that are rescheduled."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.airflow_process import AirflowProcess
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server

pytestmark = pytest.mark.system
DAGS = Path(__file__).parent / "user_dags"


@pytest.fixture(scope="module")
def server():
    with Server(Fleet(sites=4), Options(latency_ms=5)) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, server):
    connections = sandbox_connections(server.url)
    connections["locus_wrong"] = {**connections["locus_default"], "password": "not-the-password"}
    environment = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}
    with AirflowProcess(tmp_path_factory.mktemp("airflow"), DAGS, environment) as running:
        for dag_id in ("deferred", "late", "failing"):
            running.wait_for_dag(dag_id)
            running.unpause(dag_id)
        yield running


def states(airflow, dag_id, run_id):
    return {(task["task_id"], task["map_index"]): task["state"] for task in airflow.tasks(dag_id, run_id)}


def whole_log(airflow, dag_id, run_id, task_id):
    """A task's log with the details of its errors, as the UI shows them."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
    return json.dumps(airflow.api("GET", path, full_content=True)["content"])


def log_with(airflow, dag_id, run_id, task_id, text):
    """A task's log once it holds a text; a task may have ended before its last lines are written."""
    deadline = time.monotonic() + 20
    while text not in (log := whole_log(airflow, dag_id, run_id, task_id)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return log


def test_deferred_sensors_hold_no_slot_look_one_at_a_time_and_end_when_the_moment_has_passed(airflow, server):
    site_id = server.fleet.site_ids[0]
    now = datetime.now(UTC)
    rows = server.fleet.truth_site_data(
        site_id, "hourly", now - timedelta(days=2), now - timedelta(days=1), ["Wh_sum"]
    )
    hour = next(row["ts"] for row in reversed(rows) if row["Wh_sum"] is not None)
    server.fleet.set_now(hour + timedelta(minutes=59))
    until = (hour + timedelta(hours=1)).isoformat()
    run_id, before = airflow.trigger("deferred", {"site_id": site_id, "until": until}), len(server.log)
    deadline = time.monotonic() + 120
    while sum(served.path.endswith("/data") for served in server.log[before:]) < 9:
        assert time.monotonic() < deadline, airflow.log_tail()
        time.sleep(0.2)
    while set(states(airflow, "deferred", run_id).values()) != {"deferred"}:  # the last may begin late
        assert time.monotonic() < deadline, airflow.log_tail()
        time.sleep(0.2)
    pools = {pool["name"]: pool for pool in airflow.api("GET", "/pools")["pools"]}
    assert "locus_api" not in pools or pools["locus_api"]["occupied_slots"] == 0
    server.fleet.set_now(None)
    assert airflow.wait("deferred", run_id, within=120) == "success"
    assert server.stats()["max_in_flight"]["locus"] == 1
    assert "429" not in server.stats()["by_status"]
    path = f"/dags/deferred/dagRuns/{run_id}/taskInstances/measured/xcomEntries/return_value"
    value = airflow.api("GET", path, map_index=1)["value"]
    found = json.loads(value) if isinstance(value, str) else value
    assert datetime.fromisoformat(found["Wh_sum"]["ts"]) == hour


def test_the_timeout_ends_a_deferred_sensor(airflow):
    run_id = airflow.trigger("late")
    assert airflow.wait("late", run_id, within=120) == "failed"
    assert "AirflowSensorTimeout" in whole_log(airflow, "late", run_id, "wait")


def test_errors_in_a_row_and_refused_credentials_end_sensors_of_both_modes(airflow, server, monkeypatch):
    monkeypatch.setattr(
        server.application, "fault", lambda request, served: None if served.api == "token" else "500"
    )
    run_id = airflow.trigger("failing")
    assert airflow.wait("failing", run_id, within=180) == "failed"
    assert set(states(airflow, "failing", run_id).values()) == {"failed"}
    assert "connection 'locus_wrong'" in log_with(airflow, "failing", run_id, "refused", "locus_wrong")
    for mode in ("deferred", "rescheduled"):
        log = log_with(airflow, "failing", run_id, mode, "Every look has failed for")
        assert "Every look has failed for" in log
        assert "errors_for allows 0.1 min" in log


def test_no_secret_stands_in_any_log(airflow):
    secrets = [b"sandbox-secret", b"sandbox-password", b"not-the-password"]
    logs = [path for path in Path(airflow.home).rglob("*.log") if path.is_file()]
    assert logs
    for path in logs:
        assert not [secret for secret in secrets if secret in path.read_bytes()], path
