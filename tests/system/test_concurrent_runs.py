"""A year's backfill, the daily run, overlapping ranges and the alert sync at once, on a real Airflow: exact tables.

Several turns of the slot take minutes: so this runs with ``CONCURRENT_RUNS`` alone (``make test-concurrent``). With
``CONCURRENT_RUNS=year`` the API is so slow that the year takes the slot for more than five minutes; the figures then go
into the documentation.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.concurrent_runs import ALERTS, BACKFILL, concurrent, differences, run_all_at_once
from support.results import write_results

if TYPE_CHECKING:
    from locus_stem.demo.airflow_process import AirflowProcess

LENGTH = os.environ.get("CONCURRENT_RUNS", "")
LONG = LENGTH == "year"
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not LENGTH, reason="takes minutes: make test-concurrent runs it"),
]
SITES, LATENCY_MS = (28, 1000.0) if LONG else (16, 750.0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with concurrent(tmp_path_factory.mktemp("airflow"), SITES, LATENCY_MS) as running:
        yield running


@pytest.fixture(scope="module")
def runs(scene):
    return run_all_at_once(scene)


def notes(airflow: AirflowProcess, run_id: str) -> str:
    return airflow.task_log(BACKFILL, run_id, "report")


def test_tables_equal_what_was_asked_last_though_older_answers_were_loaded_last(scene, runs):
    loaded = {name: scene.ended(run_id, "load") for name, run_id in runs.items()}
    for name in ("range A", "range B", "daily, by hand"):  # else there would be nothing to put back
        assert loaded[name] < loaded["a year"]
    assert "another run had loaded younger ones" in notes(scene.airflow, runs["a year"])
    assert [found.examples for found in differences(scene) if found.differing] == []


def test_no_task_was_tried_twice(scene, runs):
    tasks = [task for run_id in runs.values() for task in scene.airflow.tasks(BACKFILL, run_id)]
    assert {task["state"] for task in tasks} == {"success"}
    syncs = [
        task for run in scene.airflow.runs(ALERTS) for task in scene.airflow.tasks(ALERTS, run["dag_run_id"])
    ]
    assert {task["state"] for task in syncs if task["task_id"] == "sync"} == {"success"}
    assert {task["try_number"] for task in (*tasks, *syncs) if task["state"] != "skipped"} == {1}


def test_one_request_is_in_flight_and_the_alert_sync_waits_three_minutes_at_most(scene, runs):
    stats = scene.server.stats()
    assert stats["max_in_flight"]["locus"] == 1
    assert set(stats["by_status"]) == {"200"}
    assert max(scene.waits) < 180
    if LONG:
        assert scene.spans["extraction of a year"] > 300
        assert scene.revised_before
        figures = [
            *([f"alert sync {number}: seconds from trigger to request", round(wait, 1)]
              for number, wait in enumerate(scene.waits, 1)),
            *([f"seconds of {name}", round(seconds)] for name, seconds in scene.spans.items()),
            ["requests", stats["requests"]],
            ["of them 429", stats["by_status"].get("429", 0)],
            ["most in flight", stats["max_in_flight"]["locus"]],
            ["share of the time in which a request was in flight", round(stats["busy_share"], 3)],
            ["values that differ from the API's", sum(found.differing for found in differences(scene))],
        ]  # fmt: skip
        write_results("concurrent", ["Figure", "Value"], figures, sites=SITES, latency_ms=LATENCY_MS)
