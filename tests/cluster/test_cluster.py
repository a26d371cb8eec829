"""The whole pipeline on Celery, Redis, Postgres and an S3 lake, in the topology of docker/compose.yaml."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.demo import compare, compare_alerts, compare_stem

BACKFILL, ALERTS, STEM = "locus_daily_backfill", "locus_alert_sync", "stem_daily_backfill"
LIMITS = {"locus": 1, "stem": 4}


def scheduled(airflow, dag_id):
    """Let the schedule start the run of the last interval; give it."""
    airflow.wait_for_dag(dag_id)
    airflow.unpause(dag_id)
    deadline = time.monotonic() + 60
    while not (runs := [run for run in airflow.runs(dag_id) if run["run_type"] == "scheduled"]):
        assert time.monotonic() < deadline, airflow.log_tail()
        time.sleep(0.2)
    return runs[-1]


def day_of(run):
    return datetime.fromisoformat(run["data_interval_start"]).astimezone(UTC).date()


def succeeded(airflow, dag_id, run_id):
    state = airflow.wait(dag_id, run_id)
    tasks = [
        (t["task_id"], t["map_index"], t["state"], t["try_number"]) for t in airflow.tasks(dag_id, run_id)
    ]
    assert state == "success", f"{tasks}\n{airflow.log_tail()}"
    return tasks


def exact(*found):
    assert [one.examples for one in found] == [[] for _ in found]
    assert all(one.rows == one.due > 0 for one in found if one.table != "posts to the webhook")


@pytest.mark.parametrize(
    "part", ["api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2"]
)
def test_a_part_is_healthy_by_its_container_s_own_check(cluster, part):
    service = part.partition("-1")[0].partition("-2")[0]
    check = cluster.topology.services[service]["healthcheck"]["test"]
    done = cluster.topology.run(service, *check[2:], name=part)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_is_not_there_is_not_healthy(cluster):
    done = cluster.topology.run("worker", "healthy", "worker", name="worker-3")
    assert done.returncode != 0


def test_starting_again_changes_nothing_that_somebody_has_set(cluster):
    airflow = cluster.airflow
    pool = {"name": "stem_api", "slots": 3, "include_deferred": False}
    airflow.api("PATCH", "/pools/stem_api", pool)
    secrets = {path: path.read_bytes() for path in cluster.topology.secrets.rglob("*") if path.is_file()}
    for service in ("secrets", "init"):
        done = cluster.topology.run(service)
        assert done.returncode == 0, done.stdout + done.stderr
    pools = {pool["name"]: pool["slots"] for pool in airflow.api("GET", "/pools")["pools"]}
    assert (pools["locus_api"], pools["stem_api"]) == (1, 3)
    assert {path: path.read_bytes() for path in secrets} == secrets
    found = {one["connection_id"] for one in airflow.api("GET", "/connections")["connections"]}
    assert found == {"locus_default", "stem_default", "ticketing"}
    airflow.log_in()


@pytest.fixture(scope="module")
def killed(cluster):
    """The daily backfill, whose worker dies in the middle of the extraction; what the sandbox had seen by then."""
    airflow = cluster.airflow
    run = scheduled(airflow, BACKFILL)
    deadline = time.monotonic() + 240
    while True:
        assert time.monotonic() < deadline, airflow.log_tail()
        running = [
            task
            for task in airflow.tasks(BACKFILL, run["dag_run_id"])
            if task["task_id"] == "extract" and task["state"] == "running"
        ]
        seen = cluster.stats()["data_requests"]
        if running and seen >= cluster.fleet.sites // 4:
            break
        time.sleep(0.2)
    worker = airflow.part_with(running[0])
    airflow.kill(worker)
    seen = cluster.stats()["data_requests"]
    return run, running[0], worker, seen


def test_the_backfill_goes_on_on_the_other_worker_and_is_exact(cluster, killed):
    run, task, worker, seen = killed
    airflow = cluster.airflow
    assert worker.startswith("worker-")
    tasks = succeeded(airflow, BACKFILL, run["dag_run_id"])
    tries = {(task_id, index): number for task_id, index, _, number in tasks}
    assert tries[task["task_id"], task["map_index"]] > 1
    (again,) = (
        one
        for one in airflow.tasks(BACKFILL, run["dag_run_id"])
        if (one["task_id"], one["map_index"]) == (task["task_id"], task["map_index"])
    )
    assert again["pid"] != task["pid"]
    day, now = day_of(run), datetime.now(UTC)
    span = compare.Loaded("site", "hourly", day - timedelta(days=7), day + timedelta(days=1), now)
    exact(
        *compare.measurements(cluster.lake, cluster.fleet, [span]),
        compare.coverage(cluster.lake, cluster.fleet, [span]),
    )
    stats = cluster.stats()
    print(seen, stats)  # noqa: T201
    assert seen < stats["data_requests"]


def test_with_the_worker_back_alerts_are_synced_and_posted(cluster, killed):
    airflow = cluster.airflow
    airflow.start(killed[2])
    airflow.wait_for_dag(ALERTS)
    airflow.unpause(ALERTS)
    run_id = airflow.trigger(ALERTS, {"webhook_conn_id": "ticketing"})
    succeeded(airflow, ALERTS, run_id)
    airflow.pause(ALERTS)
    for run in airflow.runs(ALERTS):
        succeeded(airflow, ALERTS, run["dag_run_id"])
    exact(*compare_alerts.alerts(cluster.lake, cluster.fleet, cluster.webhook.posts))
    assert cluster.webhook.posts


def test_stems_streams_are_exact(cluster):
    run = scheduled(cluster.airflow, STEM)
    succeeded(cluster.airflow, STEM, run["dag_run_id"])
    day, now = day_of(run), datetime.now(UTC)
    span = compare_stem.LoadedStreams(900, day - timedelta(days=7), day + timedelta(days=1), now)
    exact(
        *compare_stem.objects(cluster.lake, cluster.fleet),
        compare_stem.streams(cluster.lake, cluster.fleet, [span]),
        compare_stem.coverage(cluster.lake, cluster.fleet, [span]),
    )


def test_no_api_saw_more_requests_at_once_than_its_limit_nor_one_to_refuse(cluster):
    stats = cluster.stats()
    for api, limit in LIMITS.items():
        assert 0 < stats["max_in_flight"][api] <= limit
    assert "429" not in stats["by_status"]
