"""The documentation's example DAGs, run by `dag.test()` against the sandbox over real sockets."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag

from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.operators.retries import HAS_POLICIES
from locus_stem.tables.coverage import record_counts
from locus_stem.tables.lake import Lake

EXAMPLES = Path(__file__).parents[3] / "provider" / "docs" / "examples"
SITE = 3000001
LOGICAL = datetime(2025, 10, 2, tzinfo=UTC)
DAY = {"start": "2025-10-01T00:00:00", "end": "2025-10-01T23:59:59", "tz": "UTC", "gran": "hourly"}

pytestmark = pytest.mark.usefixtures("database", "server", "example_bundle")


def example(name, variable="dag"):
    return runpy.run_path(str(EXAMPLES / name))[variable]


def ran(dag, **conf):
    run = dag.test(logical_date=LOGICAL, run_conf=conf)
    assert {str(ti.state) for ti in run.get_task_instances()} == {"success"}
    return lambda task_id: run.get_task_instance(task_id).xcom_pull(task_ids=task_id)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_endpoints_answer_comes_through_xcom_with_the_keys_alone():
    def alerts(start, end):
        return LocusHook().get_site_alerts(site_id=SITE, tz="UTC", open_during_min=start, open_during_max=end)

    opened = datetime.fromisoformat(alerts("2025-01-01T00:00:00", "2025-10-01T00:00:00")[0]["start"])
    day = opened.replace(hour=0, minute=0, second=0)
    run = example("example_endpoint.py").test(logical_date=day + timedelta(days=1))
    found = run.get_task_instance("alerts").xcom_pull(task_ids="alerts")
    answer = alerts(*(f"{at:%Y-%m-%dT%H:%M:%S}" for at in (day, day + timedelta(days=1))))
    keys = ("id", "alertType", "priority", "start")
    assert found == [{key: alert[key] for key in keys if key in alert} for alert in answer] != []


def test_a_mapped_task_a_site_writes_yesterdays_rows_into_a_file_of_its_own(tmp_path, server):
    ran(example("example_expand.py"), folder=f"file://{tmp_path}")
    files = sorted((tmp_path / "2025-10-02").iterdir(), key=lambda path: int(path.stem))
    assert len(files) == 4
    for site_id, file in zip(server.fleet.site_ids, files, strict=True):
        assert lines(file) == LocusHook().get_site_data(site_id=site_id, fields=["Wh_sum"], **DAY)
        assert len(lines(file)) > 20


def test_a_stem_sites_battery_power_of_yesterday_is_written_as_lines(tmp_path, server):
    site = server.fleet.stem.site_ids[1]
    ran(example("example_streams.py"), site=site, folder=f"file://{tmp_path}")
    (found,) = lines(tmp_path / "2025-10-02.jsonl")
    (answer,) = StemHook().get_site_streams(
        site_id=site, start="2025-10-01T00:00:00Z", end="2025-10-02T00:00:00Z", stream_type=["CONVERTER"]
    )
    assert found == answer
    assert found["stream_type"] == "CONVERTER"
    assert len(found["streams"]) > 80


def test_a_component_is_found_by_its_node_id_and_its_years_are_added_up(server):
    inverter = next(one for one in LocusHook().get_site_components(SITE) if one["nodeType"] == "INVERTER")
    pulled = ran(example("example_component_data.py"), node=inverter["nodeId"])
    rows = LocusHook().get_component_data(component_id=inverter["id"], fields=["W_avg"], **DAY)
    assert pulled("power") == rows
    assert pulled("energy")["component_id"] == inverter["id"]
    assert pulled("energy")["total"] == pytest.approx(
        sum(year["Wh_sum"] for year in pulled("energy")["years"])
    )


def test_the_hierarchy_ends_in_a_file_of_components_data_a_site(tmp_path, server):
    ran(example("example_hierarchy.py"), folder=f"file://{tmp_path}")
    files = {int(path.stem): lines(path) for path in (tmp_path / "2025-10-02").iterdir()}
    assert set(files) == set(server.fleet.site_ids)
    for site_id, rows in files.items():
        ids = {component.id for component in server.fleet.components(site_id)}
        assert rows
        assert {row["id"] for row in rows} <= ids


def test_rows_of_ones_own_extraction_are_loaded_as_they_were_answered(tmp_path):
    ran(example("example_load_rows.py"), folder=f"file://{tmp_path}/extracted")
    stored = Lake(f"file://{tmp_path}/lake").read("locus_site_data").to_pylist()
    answer = LocusHook().get_site_data(site_id=SITE, fields=["Wh_sum"], **DAY)
    assert {row["ts"]: row["Wh_sum"] for row in stored} == {
        datetime.fromisoformat(row["ts"]): row.get("Wh_sum") for row in answer
    }
    assert len(stored) > 20


def test_a_task_of_ones_own_asks_through_the_hook_in_the_accounts_pool(server):
    dag = example("example_hook.py", "names_of_sites")
    assert dag.get_task("names").pool == "locus_api"
    names = ran(dag)("names")
    assert names == [server.fleet.site_object(site_id)["name"] for site_id in server.fleet.site_ids]


@pytest.mark.skipif(not HAS_POLICIES, reason="retry policies came with Airflow 3.3")
def test_a_task_of_ones_own_with_the_retry_policy_fails_at_once_on_a_site_that_is_not_there(server):
    dag = example("example_retry_policy.py", "site_by_id")
    assert ran(dag)("site")["id"] == SITE
    server.reset()
    run = dag.test(run_conf={"site_id": 99})
    (task,) = run.get_task_instances()
    assert (str(task.state), task.try_number) == ("failed", 1)
    assert [served.status for served in server.log if served.path.endswith("/sites/99")] == [404]


def test_the_check_of_coverage_fails_where_an_interval_is_missing(tmp_path):
    dag = example("example_coverage_check.py", "checked")
    lake = Lake(f"file://{tmp_path}/lake")
    for received, state in ((24.0, "success"), (23.0, "failed")):
        row = {
            "entity_id": "3000001", "field": "Wh_sum", "local_date": datetime.now(UTC).date() - timedelta(days=2),
            "expected": 24.0, "received": received, "null_count": 0.0,
        }  # fmt: skip
        record_counts(lake, "locus_site_data", "site", "hourly", _counts(row))
        assert [str(ti.state) for ti in dag.test().get_task_instances()] == [state]


def _counts(row):
    import pyarrow as pa

    return pa.table({name: pa.array([value]) for name, value in row.items()})


def dags_of_file(name, tmp_path):
    """Read a file as the dag-processor does, in a folder of its own."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / name).write_text((EXAMPLES / name).read_text())
    bag = DagBag(tmp_path / "dags", bundle_path=tmp_path / "dags", safe_mode=True)
    assert bag.import_errors == {}
    return bag.dags


def test_two_lines_make_a_second_accounts_dags_with_pool_and_lake_of_their_own(tmp_path):
    dags = dags_of_file("example_accounts.py", tmp_path)
    assert "locus_daily_backfill__locus_west" in dags
    assert {name.rpartition("__")[2] for name in dags} == {"locus_west"}
    plan = dags["locus_daily_backfill__locus_west"].get_task("plan")
    assert plan.pool == "locus_api__locus_west"
    assert plan.lake().uri == f"file://{tmp_path}/lake/locus_west"


def test_an_accounts_settings_reach_its_dags(tmp_path):
    dags = dags_of_file("example_account_settings.py", tmp_path)
    backfill = dags["locus_daily_backfill__locus_north"]
    assert backfill.params["granularity"] == "15min"
    assert backfill.params["lookback_days"] == 14
    assert backfill.timetable.summary == "0 11 * * *"
    assert backfill.get_task("plan").lake().uri == "s3://north-plants/lake"
    assert dags["locus_inventory__locus_north"].timetable.summary == "0 10 * * *"
