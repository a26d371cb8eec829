"""The whole pipeline on Celery, Redis, Postgres and an S3 lake, in the topology of docker/compose.yaml."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.pipelines.extract import PART_SECONDS
from support.moments import keep_clear_of_noon

BACKFILL, ALERTS, STEM = "locus_daily_backfill", "locus_alert_sync", "stem_daily_backfill"
EXTRACT, SYNC = "extract", "sync"
LIMITS = {"locus": 1, "stem": 4}
WRITING_SECONDS = 4.0


def until(airflow, look, within):
    """Give what a look finds, as soon as it finds something."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, airflow.log_tail()
        time.sleep(0.2)
    return found


def scheduled(airflow, dag_id):
    """Let the schedule start the run of the last interval; give it."""
    airflow.wait_for_dag(dag_id)
    airflow.unpause(dag_id)
    found = until(
        airflow, lambda: [run for run in airflow.runs(dag_id) if run["run_type"] == "scheduled"], within=60
    )
    return found[-1]


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
    assert all(one.rows > 0 for one in found)


def alerts_are_exact(cluster):
    """Let no more syncs begin, wait for those that have, and compare."""
    cluster.airflow.pause(ALERTS)
    for run in cluster.airflow.runs(ALERTS):
        succeeded(cluster.airflow, ALERTS, run["dag_run_id"])
    exact(*compare_alerts.alerts(cluster.lake, cluster.fleet, cluster.webhook.posts))
    assert cluster.webhook.posts


def wait_for_requests(cluster, number):
    until(cluster.airflow, lambda: len(cluster.asked()) >= number, within=600)


def running(airflow, dag_id, run_id, task_id):
    """Wait until a task runs; give its instance."""

    def look():
        tasks = [task for task in airflow.tasks(dag_id, run_id) if task["pid"]]
        return [task for task in tasks if (task["task_id"], task["state"]) == (task_id, "running")]

    return until(airflow, look, within=60)[0]


@dataclass
class Killed:
    """The daily backfill, whose worker died in the middle of the extraction, and the run of Stem beside it.

    :param alone: requests that were sent while no scheduler lived, before that.
    """

    alone: int
    run: dict
    stem: dict
    task: dict
    worker: str
    asked: list[str]
    at: float


@pytest.fixture(scope="module")
def killed(cluster):
    airflow = cluster.airflow
    keep_clear_of_noon(timedelta(minutes=15))  # a second run of each would load one more day
    run, stem = scheduled(airflow, BACKFILL), scheduled(airflow, STEM)
    wait_for_requests(cluster, cluster.fleet.sites // 8)
    airflow.kill("scheduler")
    asked = len(cluster.asked())
    time.sleep(3)
    alone = len(cluster.asked()) - asked
    airflow.start("scheduler")
    wait_for_requests(cluster, cluster.fleet.sites // 2)
    task = running(airflow, BACKFILL, run["dag_run_id"], EXTRACT)
    worker = airflow.part_with(task)
    airflow.kill(worker)
    killed = Killed(alone, run, stem, task, worker, cluster.asked(), cluster.last())
    cluster.remember()
    return killed


def test_tasks_go_on_while_no_scheduler_lives(killed):
    assert killed.alone > 5
    assert killed.task["try_number"] == 1


def test_the_backfill_goes_on_on_the_other_worker_and_is_exact(cluster, killed):
    airflow, run_id = cluster.airflow, killed.run["dag_run_id"]
    assert killed.worker.startswith("worker-")
    assert len(killed.asked) < cluster.fleet.sites * 9 // 10
    succeeded(airflow, BACKFILL, run_id)
    (again,) = (
        task
        for task in airflow.tasks(BACKFILL, run_id)
        if (task["task_id"], task["map_index"]) == (EXTRACT, killed.task["map_index"])
    )
    assert again["try_number"] > killed.task["try_number"]
    assert not airflow.parts[killed.worker].alive()  # so the other one has done it
    day, now = day_of(killed.run), datetime.now(UTC)
    span = compare.Loaded("site", "hourly", day - timedelta(days=7), day + timedelta(days=1), now)
    exact(
        *compare.measurements(cluster.lake, cluster.fleet, [span]),
        compare.coverage(cluster.lake, cluster.fleet, [span]),
    )


def test_what_the_dead_worker_had_staged_is_not_asked_again(cluster, killed):
    asked, lost = Counter(cluster.asked()), cluster.asked(before=killed.at)
    assert {one for one, times in asked.items() if times > 1} <= set(lost)
    assert max(asked.values()) <= 2
    staged = cluster.asked(before=killed.at - PART_SECONDS - WRITING_SECONDS)
    assert staged
    assert {asked[one] for one in staged} == {1}


def test_with_the_worker_back_alerts_are_synced_and_posted(cluster, killed):
    airflow = cluster.airflow
    airflow.start(killed.worker)
    run = scheduled(airflow, ALERTS)
    succeeded(airflow, ALERTS, run["dag_run_id"])
    alerts_are_exact(cluster)


def test_a_worker_that_is_asked_to_stop_ends_its_task_first(cluster, killed):
    airflow = cluster.airflow
    airflow.unpause(ALERTS)
    run_id = airflow.trigger(ALERTS)
    task = running(airflow, ALERTS, run_id, SYNC)
    worker = airflow.part_with(task)
    part = airflow.parts[worker]
    part.stop(patience=120)
    assert part.wait(0) == 0, part.output()
    tasks = succeeded(airflow, ALERTS, run_id)
    assert {tries for *_, tries in tasks} == {1}
    alerts_are_exact(cluster)
    airflow.start(worker)


def test_stems_streams_are_exact(cluster, killed):
    succeeded(cluster.airflow, STEM, killed.stem["dag_run_id"])
    day, now = day_of(killed.stem), datetime.now(UTC)
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
