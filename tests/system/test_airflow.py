"""A real Airflow: scheduler, API server, LocalExecutor and SQLite, asked as its UI asks it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.airflow_process import AirflowProcess
from locus_stem.demo.compare import Loaded, measurements
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.moments import keep_clear_of_noon

pytestmark = pytest.mark.system
DAGS = Path(__file__).parents[2] / "dags"
TODAY = datetime.now(UTC).date()
BACKFILL = "locus_daily_backfill"


@pytest.fixture(scope="module")
def server():
    with Server(Fleet(sites=8), Options(latency_ms=5)) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, server):
    home = tmp_path_factory.mktemp("airflow")
    connections = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields)
        for name, fields in sandbox_connections(server.url).items()
    }
    environment = {**connections, "AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
    with AirflowProcess(home, DAGS, environment) as running:
        running.wait_for_dag(BACKFILL)
        yield running


@pytest.fixture
def lake(airflow):
    return Lake(f"file://{airflow.home}/lake")


def finished(airflow, run_id):
    state = airflow.wait(BACKFILL, run_id)
    logs = [
        airflow.task_log(BACKFILL, run_id, task["task_id"], task["try_number"], task["map_index"])
        for task in airflow.tasks(BACKFILL, run_id)
        if task["state"] == "failed"
    ]
    return state, "\n".join(logs)


def test_the_provider_is_registered(airflow):
    shown = airflow.run("providers", "get", "airflow-provider-locus-stem")
    assert "airflow-provider-locus-stem" in shown
    assert airflow.api("GET", "/importErrors")["import_errors"] == []


def test_the_first_scheduled_run_makes_the_missing_pool_and_loads_the_lookback(airflow, server, lake):
    assert "locus_api" not in {pool["name"] for pool in airflow.api("GET", "/pools")["pools"]}
    keep_clear_of_noon(timedelta(minutes=10))  # there is one run, which has loaded all that the table holds
    airflow.unpause(BACKFILL)
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while not (runs := airflow.runs(BACKFILL)):
        assert datetime.now(UTC) < deadline
    (run,) = runs
    assert finished(airflow, run["dag_run_id"]) == ("success", "")
    pools = {pool["name"]: pool["slots"] for pool in airflow.api("GET", "/pools")["pools"]}
    assert pools["locus_api"] == 1
    day = datetime.fromisoformat(run["data_interval_start"]).date()
    span = Loaded("site", "hourly", day - timedelta(days=7), day + timedelta(days=1), datetime.now(UTC))
    assert [found.examples for found in measurements(lake, server.fleet, [span])] == [[]]


@pytest.mark.parametrize("logical_date", [None, f"{TODAY - timedelta(days=30)}T13:00:00Z"])
def test_a_run_triggered_by_hand_succeeds_with_and_without_a_logical_date(airflow, logical_date):
    run_id = airflow.trigger(BACKFILL, {"lookback_days": 1, "granularity": "daily"}, logical_date)
    assert finished(airflow, run_id) == ("success", "")
    report = airflow.task_log(BACKFILL, run_id, "report")
    day = TODAY - timedelta(days=31) if logical_date else None
    assert "rows: " in report
    assert day is None or f"from {day - timedelta(days=1)} to {day + timedelta(days=1)} (exclusive)" in report


def create_backfill(airflow, body):
    """Airflow refuses a backfill while SQLite is locked, and says to try again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return airflow.api("POST", "/backfills", body)
        except RuntimeError as error:
            if "HTTP 503" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def test_airflows_own_backfill_loads_its_days(airflow, server, lake):
    first, last = TODAY - timedelta(days=60), TODAY - timedelta(days=59)
    body = {
        "dag_id": BACKFILL,
        "from_date": f"{first}T12:00:00Z",
        "to_date": f"{last}T12:00:00Z",
        "max_active_runs": 2,
        "dag_run_conf": {"lookback_days": 0, "granularity": "15min"},
    }
    create_backfill(airflow, body)
    runs = [run for run in airflow.runs(BACKFILL) if run["run_type"] == "backfill"]
    assert len(runs) == 2
    for run in runs:
        assert finished(airflow, run["dag_run_id"]) == ("success", "")
    held = {
        row["local_date"]
        for row in lake.read("locus_site_data", filters=[("granularity", "=", "15min")]).to_pylist()
    }
    days = {datetime.fromisoformat(run["data_interval_start"]).date() for run in runs}
    assert held == days
    assert server.stats()["max_in_flight"]["locus"] == 1


def test_a_param_that_is_not_allowed_is_refused_by_the_trigger_form(airflow):
    with pytest.raises(RuntimeError, match=r"(?s)HTTP 4\d\d.*granularity"):
        airflow.trigger(BACKFILL, {"granularity": "2min"})


def test_the_connection_form_has_real_fields_and_masks_secrets(airflow):
    # The UI's own endpoint stands beside the public API.
    answer = airflow.ui("/connections/hook_meta")
    forms = {item["connection_type"]: item for item in answer}
    fields = forms["locus"]["extra_fields"]
    assert fields.keys() == {
        "client_id",
        "client_secret",
        "partner_id",
        "grant_type",
        "timeout",
        "allow_http",
    }
    assert fields["client_secret"]["schema"]["format"] == "password"
    assert forms["stem"]["extra_fields"].keys() == {"timeout", "allow_http"}


def test_the_test_button_makes_one_authenticated_request(airflow, server):
    body = {"connection_id": "tested", **sandbox_connections(server.url)["locus_default"]}
    before = len(server.log)
    good = airflow.api("POST", "/connections/test", {**body, "extra": json.dumps(body["extra"])})
    assert good["status"], good
    assert [served.path for served in server.log[before:]] == ["/oauth/token", "/v3/partners/1/clients"]
    bad = airflow.api(
        "POST", "/connections/test", {**body, "password": "nope", "extra": json.dumps(body["extra"])}
    )
    assert not bad["status"]
    assert "password" in bad["message"]


def test_no_secret_stands_in_any_log(airflow):
    secrets = [b"sandbox-secret", b"sandbox-password"]
    for path in Path(airflow.home).rglob("*"):
        if path.is_file() and path.suffix in {".log", ".json", ".parquet"} and "simple_auth" not in path.name:
            assert not [secret for secret in secrets if secret in path.read_bytes()], path
