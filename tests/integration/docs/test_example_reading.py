"""The documentation's samples that read a lake, run on one that the DAGs have loaded from the sandbox."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, QueryBuilder

from locus_stem.dags.daily_backfill import locus_daily_backfill
from locus_stem.dags.inventory import locus_inventory
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake

EXAMPLES = Path(__file__).parents[3] / "provider" / "docs" / "examples"
REFUSED = 3000002


@pytest.fixture(scope="module")
def folder(tmp_path_factory, database):
    """Load a week, in which a site is refused and the API is busy now and then, and again after a revision."""
    folder = tmp_path_factory.mktemp("reading")
    faults = (Fault("forbidden", target=str(REFUSED)), Fault("429", rate=0.2))
    with Server(Fleet(sites=12), Options(faults=faults)) as server, pytest.MonkeyPatch.context() as patch:
        connection = sandbox_connections(server.url)["locus_default"]
        patch.setenv("AIRFLOW_CONN_LOCUS_DEFAULT", json.dumps(connection))
        patch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"file://{folder}/lake")
        week = {"start": "2025-10-01", "end": "2025-10-08", "fields": ["Wh_sum", "W_avg"]}
        states = [str(locus_inventory().test().state), str(locus_daily_backfill().test(run_conf=week).state)]
        server.fleet.revise(
            "site", 3000001, datetime(2025, 10, 2, tzinfo=UTC), datetime(2025, 10, 3, tzinfo=UTC), factor=1.5
        )
        states.append(str(locus_daily_backfill().test(run_conf=week).state))
    assert states == ["success"] * 3
    return folder


@pytest.fixture
def lake(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return Lake(f"file://{folder}/lake")


def sql(name):
    """Run a sample on every table of the lake; give its rows."""
    query = QueryBuilder()
    for table in Path("lake").iterdir():
        if (table / "_delta_log").is_dir():
            query.register(table.name, DeltaTable(str(table)))
    return pa.table(query.execute((EXAMPLES / name).read_text())).to_pylist()


def test_a_month_of_some_sites_is_read(lake):
    found = runpy.run_path(str(EXAMPLES / "read_measurements.py"))
    stored = [
        row for row in lake.read("locus_site_data").to_pylist()
        if row["site_id"] in {3000001, 3000002, 3000003} and row["month"].month == 10
    ]  # fmt: skip
    assert found["rows"].num_rows == len(stored) > 300
    assert sum(found["energy_wh"].column("Wh_sum_sum").to_pylist()) == pytest.approx(
        sum(row["Wh_sum"] or 0 for row in stored)
    )


def test_a_lake_is_asked_in_sql(lake):
    latest = runpy.run_path(str(EXAMPLES / "read_sql.py"))["latest"]
    stored = lake.read("locus_site_data")
    assert set(latest.column("site_id").to_pylist()) == set(stored.column("site_id").to_pylist())
    assert pc.max(latest.column("latest")).as_py() == pc.max(stored.column("ts")).as_py()


def test_the_change_feed_has_the_values_before_and_after_a_revision(lake):
    changes = runpy.run_path(str(EXAMPLES / "read_changes.py"))["changes"].to_pylist()
    kinds = {row["_change_type"] for row in changes}
    assert kinds == {"insert", "update_preimage", "update_postimage"}
    before, after = (
        {row["ts"]: row["Wh_sum"] for row in changes if row["_change_type"] == f"update_{side}"}
        for side in ("preimage", "postimage")
    )
    assert before.keys() == after.keys() == {datetime(2025, 10, 2, hour, tzinfo=UTC) for hour in range(24)}
    assert sum(after.values()) == pytest.approx(1.5 * sum(before.values()), rel=0.01)


def test_a_table_is_read_as_it_stood(lake):
    rows = runpy.run_path(str(EXAMPLES / "read_version.py"))["rows"]
    assert rows.num_rows == lake.read("locus_site_data").num_rows > 0


def test_the_energy_of_a_day_is_that_of_its_hours(lake):
    found = sql("site_energy.sql")
    stored = lake.read("locus_site_data").to_pylist()
    assert sum(row["energy_kwh"] or 0 for row in found) == pytest.approx(
        sum(row["Wh_sum"] or 0 for row in stored) / 1000
    )
    assert {row["local_date"].month for row in found} == {10}


def test_every_field_has_its_unit(lake):
    units = {row["short_name"]: row["unit"] for row in sql("units.sql")}
    assert (units["Wh_sum"], units["W_avg"]) == ("Wh", "W")


def test_the_holes_are_those_of_coverage(lake):
    found = sql("coverage_missing.sql")
    holes = [
        row for row in lake.read("coverage").to_pylist()
        if row["skipped"] is None and row["expected"] > row["received"] + row["null_count"]
    ]  # fmt: skip
    assert len(found) == len(holes) > 0
    assert sum(row["missing"] for row in found) == sum(
        row["expected"] - row["received"] - row["null_count"] for row in holes
    )


def test_the_share_of_each_day_is_between_none_and_all(lake):
    found = sql("coverage_share.sql")
    assert len(found) == 7
    assert all(0 < row["share"] <= 1 for row in found)
    assert {row["source"] for row in found} == {"locus_site_data"}


def test_who_was_refused_is_named_with_the_reason(lake):
    found = sql("coverage_skipped.sql")
    assert {row["entity_id"] for row in found} == {str(REFUSED)}
    assert all("403" in row["skipped"] for row in found)


def test_the_runs_of_a_day_add_up(lake):
    found = sql("runs_by_day.sql")
    runs = lake.read("runs").to_pylist()
    for column in ("requests", "retries", "rows_new", "rows_changed"):
        assert sum(row[column] for row in found) == sum(row[column] for row in runs) > 0


def test_tries_that_met_a_429_are_found(lake):
    found = sql("runs_rate_limited.sql")
    due = [row for row in lake.read("runs").to_pylist() if "429" in json.loads(row["answered_by_status"])]
    assert len(found) == len(due) > 0
