"""The DAGs under `dag.test()`, in this process: an empty lake, a database of its own, the sandbox over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from locus_stem.dags.alert_sync import locus_alert_sync
from locus_stem.dags.daily_backfill import locus_daily_backfill
from locus_stem.dags.inventory import locus_inventory
from locus_stem.dags.lake_maintenance import lake_maintenance
from locus_stem.dags.monthly_bulk import locus_monthly_bulk
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.compare import Loaded, available, bulk, bulk_coverage, measurements, objects
from locus_stem.planning.slices import months_later
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from support.moments import MONTH_ENDED, closed_months

TODAY = datetime.now(UTC).date()


@pytest.fixture
def server():
    with Server(Fleet(sites=6), Options(zone_case=True)) as running:
        yield running


def states(run):
    return {f"{ti.task_id}": str(ti.state) for ti in run.get_task_instances()}


def test_the_inventory_fills_its_tables_and_asks_for_details_once_a_week(lake, server):
    run = locus_inventory().test()
    assert states(run) == {"inventory": "success"}
    differences = [*objects(lake, server.fleet), available(lake, server.fleet)]
    assert [found.examples for found in differences] == [[], [], [], []]
    assert lake.read("locus_install_info").num_rows == lake.read("locus_model_settings").num_rows == 6
    server.reset()
    locus_inventory().test()
    assert len([served for served in server.log if served.method == "GET"]) == 3
    locus_inventory().test(run_conf={"detail_max_age_days": 0})
    assert len([served for served in server.log if served.method == "GET"]) > 20


def test_a_backfill_on_an_empty_lake_loads_the_range_and_reports(lake, server, capfd):
    start, end = TODAY - timedelta(days=9), TODAY - timedelta(days=2)
    run = locus_daily_backfill().test(run_conf={"start": str(start), "end": str(end), "granularity": "15min"})
    assert states(run) == dict.fromkeys(("plan", "extract", "load", "report"), "success")
    span = Loaded("site", "15min", start, end, datetime.now(UTC))
    assert [found.examples for found in measurements(lake, server.fleet, [span])] == [[]]
    assert "rows: " in capfd.readouterr().out
    assert list(Path(lake.filesystem()[1], "_staging").iterdir()) == []
    assert lake.read("runs").num_rows == 3


def test_a_logical_date_gives_the_lookback_of_its_day(lake, server):
    day = TODAY - timedelta(days=4)
    logical = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    run = locus_daily_backfill().test(logical_date=logical)
    assert set(states(run).values()) == {"success"}
    last = day - timedelta(days=1)  # the last complete interval before 13:00 began at noon the day before
    span = Loaded("site", "hourly", last - timedelta(days=7), last + timedelta(days=1), datetime.now(UTC))
    assert [found.examples for found in measurements(lake, server.fleet, [span])] == [[]]


def test_plan_only_ends_well_with_the_number_of_requests(lake, server, capfd):
    run = locus_daily_backfill().test(run_conf={"plan_only": True})
    assert states(run) == {"plan": "success", "extract": "skipped", "load": "skipped", "report": "success"}
    assert "6 requests for 6 entities" in capfd.readouterr().out
    assert not [served for served in server.log if served.path.endswith("/data")]


def test_bulk_without_params_loads_the_last_closed_month_and_the_eleven_before(lake, server, capfd):
    now = datetime.now(UTC)
    run = locus_monthly_bulk().test(**closed_months(now))
    assert states(run) == dict.fromkeys(("plan", "extract_bulk", "load", "report"), "success")
    current = (now - MONTH_ENDED).date().replace(day=1)
    span = (months_later(current, -12), current)
    assert bulk(lake, server.fleet, [span], BULK_SHORT_NAMES).examples == []
    assert bulk_coverage(lake, server.fleet, [span], BULK_SHORT_NAMES).examples == []
    assert f"{months_later(current, -12):%Y-%m} to {current:%Y-%m} (exclusive)" in capfd.readouterr().out
    assert not list(Path(lake.filesystem()[1], "_staging").iterdir())
    assert lake.read("runs").num_rows == 3


def test_bulk_of_a_logical_date_and_of_given_months(lake, server):
    run = locus_monthly_bulk().test(logical_date=datetime(2024, 5, 20, tzinfo=UTC))
    assert set(states(run).values()) == {"success"}
    run = locus_monthly_bulk().test(run_conf={"start_month": "2022-11", "end_month": "2023-05"})
    assert set(states(run).values()) == {"success"}
    span = (date(2022, 11, 1), date(2024, 5, 1))
    assert bulk(lake, server.fleet, [span], BULK_SHORT_NAMES).examples == []


def test_bulk_refuses_a_wrong_field_by_name_before_the_first_data_request(lake, server, capfd):
    run = locus_monthly_bulk().test(run_conf={"fields": ["Wh_sun"]})
    assert states(run)["plan"] == "failed"
    said = capfd.readouterr().out
    assert "param fields='Wh_sun'" in said
    assert "did you mean" in said
    assert not [served for served in server.log if served.path.endswith("/data")]


def test_maintenance_of_a_loaded_lake_asks_the_api_nothing_and_changes_no_row(lake, server, capfd):
    for days in (9, 8, 7):
        start = TODAY - timedelta(days=days)
        conf = {"start": str(start), "end": str(start + timedelta(days=1))}
        assert set(states(locus_daily_backfill().test(run_conf=conf)).values()) == {"success"}
    names = ("locus_site_data", "coverage", "runs")
    before = [sorted(lake.read(name).to_pylist(), key=repr) for name in names]
    server.reset()
    run = lake_maintenance().test()
    assert states(run) == {"maintain": "success"}
    assert not server.log
    assert [sorted(lake.read(name).to_pylist(), key=repr) for name in names] == before
    said = capfd.readouterr().out
    assert "locus_site_data: " in said
    assert "staging: 0 abandoned folders removed" in said
    months = {row["month"] for row in lake.read("locus_site_data", ["month"]).to_pylist()}
    assert len(lake.open("locus_site_data").file_uris()) == len(months)


def test_maintenance_that_fails_in_a_table_names_it_after_the_others_and_too_short_a_retention_is_refused(
    lake, server, capfd
):
    locus_inventory().test()
    log = Path(lake.filesystem()[1], "locus_clients", "_delta_log")
    log.joinpath(f"{0:020d}.json").write_text("nonsense")
    dag = lake_maintenance()
    dag.get_task("maintain").retries = 0
    assert states(dag.test()) == {"maintain": "failed"}
    said = capfd.readouterr().out
    assert "Maintenance failed of locus_clients: " in said
    assert "locus_sites: 1 files before" in said
    dag.get_task("maintain").retention_days = "2"
    assert states(dag.test()) == {"maintain": "failed"}
    assert "param retention_days='2'" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("make", "conf"),
    [
        (locus_inventory, {"detail_max_age": 1}),
        (locus_alert_sync, {"update_since": "2025-10-01"}),
        (lake_maintenance, {"retention": 7}),
    ],
)
def test_a_param_that_is_not_there_is_refused_by_every_dag(lake, server, capfd, make, conf):
    run = make().test(run_conf=conf)
    assert "failed" in states(run).values()
    assert "no such param; did you mean" in capfd.readouterr().out
    assert len(server.log) == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AIRFLOW__LOCUS_STEM__LAKE_URI": "lake"}, "relative"),
        ({"AIRFLOW__LOCUS_STEM__LAKE_URI": "ftp://host/lake"}, "ftp"),
        ({"AIRFLOW_CONN_LOCUS_DEFAULT": '{"conn_type": "locus", "extra": {"partner_id": 1}}'}, "client_id"),
    ],
)
def test_a_wrong_lake_or_connection_fails_at_once_and_says_so(
    lake, server, monkeypatch, capfd, environment, words
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = locus_daily_backfill().test()
    assert states(run)["plan"] == "failed"
    assert words in capfd.readouterr().out
    assert len(server.log) == 0


def test_wrong_credentials_are_tried_once_and_named(lake, server, monkeypatch, capfd):
    connection = sandbox_connections(server.url)["locus_default"]
    monkeypatch.setenv("AIRFLOW_CONN_LOCUS_DEFAULT", json.dumps({**connection, "password": "wrong-Pa55word"}))
    run = locus_daily_backfill().test()
    assert states(run)["plan"] == "failed"
    assert len(server.log) == 1
    said = "".join(capfd.readouterr())
    assert "connection 'locus_default'" in said
    assert "client_id, client_secret, login, password" in said
    assert "wrong-Pa55word" not in said
