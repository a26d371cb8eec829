"""Every DAG under `dag.test()` with its lake in S3, its keys in a connection that the lake's address names."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from airflow.utils.session import create_session
from sqlalchemy import text

from locus_stem.assets import table_asset
from locus_stem.dags.alert_sync import locus_alert_sync
from locus_stem.dags.daily_backfill import locus_daily_backfill
from locus_stem.dags.inventory import locus_inventory
from locus_stem.dags.lake_maintenance import lake_maintenance
from locus_stem.dags.monthly_bulk import locus_monthly_bulk
from locus_stem.dags.stem_daily_backfill import stem_daily_backfill
from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.webhook import Webhook
from locus_stem.hooks.lake import open_lake
from locus_stem.planning.slices import months_later
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from support.alert_clocks import move_clocks
from support.moments import MONTH_ENDED, closed_months
from support.object_store import KEYS, REGION

TODAY = datetime.now(UTC).date()


@pytest.fixture
def server(request):
    sites = getattr(request, "param", 4)
    with Server(Fleet(sites=sites, stem_sites=4), Options(zone_case=True)) as running:
        yield running


@pytest.fixture
def lake(store, bucket, server, nothing_known, monkeypatch, database):
    """The lake as a task opens it; the environment has no keys of its own."""
    connections = {
        **sandbox_connections(server.url),
        "aws_default": {
            "conn_type": "aws",
            "login": KEYS["aws_access_key_id"],
            "password": KEYS["aws_secret_access_key"],
            "extra": {"endpoint_url": store.url, "region_name": REGION},
        },
    }
    for conn_id, connection in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"s3://aws_default@{bucket}/the/lake")
    assert not [name for name in os.environ if name.startswith(("AWS_ACCESS", "AWS_SECRET"))]
    return open_lake()


def succeed(run):
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    assert set(states.values()) <= {"success", "skipped"}, states
    assert str(run.state) == "success"


def examples(*differences):
    return [example for difference in differences for example in difference.examples]


def staged(store, bucket):
    return [key for key in store.keys(bucket, "the/lake/_staging/") if not key.endswith("/")]


def test_locus_from_the_inventory_to_a_backfill_that_changes_nothing_and_maintenance(
    store, bucket, lake, server
):
    succeed(locus_inventory().test())
    assert examples(*compare.objects(lake, server.fleet), compare.available(lake, server.fleet)) == []
    assert examples(*compare.details(lake, server.fleet)) == []
    start, end = TODAY - timedelta(days=6), TODAY - timedelta(days=2)
    conf = {"start": str(start), "end": str(end), "granularity": "15min"}
    succeed(locus_daily_backfill().test(run_conf=conf))
    span = compare.Loaded("site", "15min", start, end, datetime.now(UTC))
    assert examples(*compare.measurements(lake, server.fleet, [span])) == []
    assert examples(compare.coverage(lake, server.fleet, [span])) == []
    assert lake.read("locus_site_data").num_rows > 1000
    assert staged(store, bucket) == []
    versions = {name: lake.open(name).version() for name in ("locus_site_data", "coverage")}
    succeed(locus_daily_backfill().test(run_conf=conf))
    assert {name: lake.open(name).version() for name in versions} == versions
    later = {**conf, "start": str(end), "end": str(end + timedelta(days=1))}
    succeed(locus_daily_backfill().test(run_conf=later))
    rows = {
        name: sorted(lake.read(name).to_pylist(), key=repr)
        for name in ("locus_site_data", "coverage", "runs")
    }
    server.reset()
    succeed(lake_maintenance().test())
    assert not server.log
    assert {name: sorted(lake.read(name).to_pylist(), key=repr) for name in rows} == rows
    months = {row["month"] for row in lake.read("locus_site_data", ["month"]).to_pylist()}
    assert len(lake.open("locus_site_data").file_uris()) == len(months)


# So many sites have alerts in any month, and new ones in any five days.
@pytest.mark.parametrize("server", [16], indirect=True)
def test_alerts_and_their_delivery(lake, server, monkeypatch):
    with Webhook() as tickets:
        monkeypatch.setenv("AIRFLOW_CONN_TICKETS", json.dumps({"conn_type": "http", "host": tickets.url}))
        succeed(locus_alert_sync(defaults={"webhook_conn_id": "tickets"}).test())
        assert examples(*compare_alerts.alerts(lake, server.fleet, tickets.posts)) == []
        known = lake.read("locus_alert_history").num_rows
        assert len(tickets.posts) == known >= 20
        move_clocks(monkeypatch, server.fleet, timedelta(days=5))
        succeed(locus_alert_sync(defaults={"webhook_conn_id": "tickets"}).test())
        assert len(tickets.posts) == lake.read("locus_alert_history").num_rows > known


def test_a_year_in_bulk(store, bucket, lake, server):
    now = datetime.now(UTC)
    succeed(locus_monthly_bulk().test(**closed_months(now)))
    current = (now - MONTH_ENDED).date().replace(day=1)
    span = (months_later(current, -12), current)
    assert examples(compare.bulk(lake, server.fleet, [span], BULK_SHORT_NAMES)) == []
    assert examples(compare.bulk_coverage(lake, server.fleet, [span], BULK_SHORT_NAMES)) == []
    assert lake.read("locus_bulk_monthly").num_rows == 4 * 12
    assert staged(store, bucket) == []


def test_stem(store, bucket, lake, server):
    start, end = TODAY - timedelta(days=5), TODAY - timedelta(days=2)
    succeed(stem_daily_backfill().test(run_conf={"start": str(start), "end": str(end)}))
    span = compare_stem.LoadedStreams(900, start, end, datetime.now(UTC))
    assert examples(*compare_stem.objects(lake, server.fleet)) == []
    assert examples(compare_stem.streams(lake, server.fleet, [span])) == []
    assert examples(compare_stem.coverage(lake, server.fleet, [span])) == []
    assert lake.read("stem_streams").num_rows > 1000
    assert staged(store, bucket) == []


def test_neither_xcom_nor_assets_nor_rendered_fields_hold_keys_and_their_addresses_stay(
    bucket, lake, capfd, caplog
):
    """A connection of another name doesn't make other assets, nor staging that can't be found."""
    caplog.set_level("DEBUG")
    conf = {"start": str(TODAY - timedelta(days=3)), "end": str(TODAY - timedelta(days=2))}
    succeed(locus_daily_backfill().test(run_conf=conf))
    columns = {"xcom": "value", "asset": "uri", "rendered_task_instance_fields": "rendered_fields"}
    with create_session() as session:
        found = {
            table: " ".join(str(row[0]) for row in session.execute(text(f"SELECT {column} FROM {table}")))  # noqa: S608
            for table, column in columns.items()
        }
    assert f"s3://{bucket}/the/lake/_staging/" in found["xcom"]
    assert f"s3://{bucket}/the/lake/locus_site_data" in found["asset"]
    assert table_asset("locus_site_data").uri == f"s3://{bucket}/the/lake/locus_site_data"
    assert "aws_default@" not in found["xcom"] + found["asset"]
    everything = "".join([*found.values(), *capfd.readouterr(), caplog.text])
    assert KEYS["aws_secret_access_key"] not in everything
