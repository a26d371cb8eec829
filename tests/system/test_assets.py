"""A real scheduler: the documentation's example DAG runs after a load, and OpenLineage gets API and table."""

from __future__ import annotations

import json
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.airflow_process import AirflowProcess
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from locus_stem.tables.state import state_of
from support.moments import keep_clear_of_noon

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "provider" / "docs" / "examples" / "after_load.py"
BACKFILL, AFTER = "locus_daily_backfill", "after_load"


@pytest.fixture(scope="module")
def server():
    with Server(Fleet(sites=3), Options()) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, server):
    home, dags = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dags")
    for file in (ROOT / "dags" / "locus_stem.py", EXAMPLE):
        shutil.copy(file, dags)
    environment = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields)
        for name, fields in sandbox_connections(server.url).items()
    }
    transport = {"type": "file", "log_file_path": f"{home}/lineage.json", "append": True}
    environment["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(transport)
    with AirflowProcess(home, dags, environment) as running:
        for dag_id in (BACKFILL, AFTER):
            running.wait_for_dag(dag_id)
        keep_clear_of_noon(timedelta(minutes=10))  # the tests count runs
        running.unpause(AFTER)
        running.unpause(BACKFILL)
        yield running


@pytest.fixture(scope="module")
def lake(airflow):
    return Lake(f"file://{airflow.home}/lake")


def after(airflow, number):
    """Wait for the example's run of this number; give what its task returned."""
    deadline = time.monotonic() + 120
    while len(runs := airflow.runs(AFTER)) < number:
        assert time.monotonic() < deadline, airflow.log_tail()
        time.sleep(0.5)
    assert len(runs) == number
    run_id = max(runs, key=lambda run: run["run_after"])["dag_run_id"]
    assert airflow.wait(AFTER, run_id) == "success"
    path = f"/dags/{AFTER}/dagRuns/{run_id}/taskInstances/changed/xcomEntries/return_value"
    return airflow.api("GET", path, stringify=False)["value"]


def events(airflow, table):
    """Give the extras of a table's events, in order."""
    answer = airflow.api("GET", "/assets/events", name_pattern=table, limit=100, order_by="timestamp")
    return [event["extra"] for event in answer["asset_events"] if event["name"] == table]


@pytest.fixture(scope="module")
def first(airflow):
    """The scheduled run, which loads sites, and what the example's run after it returned."""
    found = after(airflow, 1)
    (run,) = airflow.runs(BACKFILL)
    assert airflow.wait(BACKFILL, run["dag_run_id"]) == "success"
    return found


@pytest.fixture(scope="module")
def components(airflow, first):
    """A run that loads components."""
    run_id = airflow.trigger(BACKFILL, {"level": "component", "lookback_days": 1})
    assert airflow.wait(BACKFILL, run_id) == "success"
    return run_id


def test_a_users_dag_runs_after_a_load_and_reads_what_changed(airflow, first, lake):
    (extra,) = events(airflow, "locus_site_data")
    version = state_of(lake, "locus_site_data").version
    span = {"start": extra["start"], "end": extra["end"]}
    assert first == [{**span, "version_before": None, "version": version}]
    assert extra["rows_new"] == lake.read("locus_site_data").num_rows > 0
    assert (extra["level"], extra["granularity"]) == ("site", "hourly")
    rows = lake.read("locus_site_data", ["ts"]).column("ts").to_pylist()
    assert extra["start"] <= min(rows).isoformat()
    assert max(rows).isoformat() < extra["end"]


def test_a_load_of_components_is_no_event_of_the_sites_table(airflow, components, lake):
    (extra,) = events(airflow, "locus_component_data")
    assert extra["rows_new"] == lake.read("locus_component_data").num_rows > 0
    assert len(events(airflow, "locus_site_data")) == 1
    assert len(airflow.runs(AFTER)) == 1


def test_a_load_that_changes_nothing_is_an_event_too(airflow, components):
    run_id = airflow.trigger(BACKFILL, {"lookback_days": 1})
    assert airflow.wait(BACKFILL, run_id) == "success"
    earlier, later = events(airflow, "locus_site_data")
    assert (later["rows_new"], later["rows_changed"], later["version"]) == (0, 0, earlier["version"])
    assert later["version_before"] == later["version"]
    assert later["rows_unchanged"] > 0
    assert after(airflow, 2) == []


def test_assets_have_the_tables_names_and_addresses(airflow, components, lake):
    found = {
        asset["name"]: asset["uri"] for asset in airflow.api("GET", "/assets", only_active=False)["assets"]
    }
    written = {"locus_sites", "locus_clients", "locus_components", "locus_data_available", "coverage", "runs"}
    written |= {"locus_site_data", "locus_component_data"}
    assert found == {table: lake.table_uri(table) for table in written}


def test_openlineage_gets_the_api_and_the_table_with_its_columns(airflow, server, components, lake):
    text = (airflow.home / "lineage.json").read_text()
    told = [json.loads(line) for line in text.splitlines()]
    done = [event for event in told if event["eventType"] == "COMPLETE"]
    loads = [event for event in done if event["job"]["name"] == f"{BACKFILL}.load"]
    inputs, outputs = {}, {}
    for event in loads:
        assert len(event["inputs"]) == 1
        (output,) = (one for one in event["outputs"] if not one["name"].endswith("/coverage"))
        table = output["name"].rpartition("/")[2]
        inputs[table] = event["inputs"][0]["namespace"], event["inputs"][0]["name"]
        outputs.setdefault(table, output)
    assert inputs == {
        "locus_site_data": (server.url, "/v3/sites/{site_id}/data"),
        "locus_component_data": (server.url, "/v3/components/{component_id}/data"),
    }
    for table, output in outputs.items():
        assert (output["namespace"], output["name"]) == ("file", f"{airflow.home}/lake/{table}")
        columns = tuple((one["name"], one["type"]) for one in output["facets"]["schema"]["fields"])
        assert columns == state_of(lake, table).columns
        assert ("ts", "timestamp") in columns
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == lake.read(table).num_rows
    extracted = {
        (one["namespace"], one["name"])
        for event in done
        if event["job"]["name"] == f"{BACKFILL}.extract"
        for one in event["inputs"]
    }
    assert extracted == set(inputs.values())
    assert "sandbox-secret" not in text
    assert "sandbox-password" not in text


def test_planning_names_only_the_endpoints_that_it_asked(airflow, server, first):
    told = [json.loads(line) for line in (airflow.home / "lineage.json").read_text().splitlines()]
    plan = next(
        event
        for event in told
        if event["eventType"] == "COMPLETE" and event["job"]["name"] == f"{BACKFILL}.plan"
    )
    assert {one["name"] for one in plan["inputs"]} == {
        "/v3/partners/{partner_id}/sites",
        "/v3/partners/{partner_id}/clients",
        "/v3/sites/{site_id}/dataavailable",
    }
    names = {one["name"].rpartition("/")[2] for one in plan["outputs"]}
    assert names == {"locus_sites", "locus_clients", "locus_data_available", "coverage"}
