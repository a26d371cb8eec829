"""SIGKILL of Airflow's parts while a backfill is extracted; what supervises them starts them again."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest

IN_THE_MIDDLE = 8


def now_dies(run, task_id=None):
    """Note when something dies, and which task with it."""
    run.killed_at, run.task_id = time.monotonic(), task_id


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def in_the_middle(killed, requests=IN_THE_MIDDLE):
    """Trigger a backfill and wait until it is in the middle of its extraction."""
    run = killed.backfill()
    killed.wait_for_requests(run, requests)
    return run, killed.running_task(run, "extract")


def test_a_task_whose_worker_is_killed_ends_with_it_and_is_tried_again(killed):
    run, task = in_the_middle(killed)
    worker = psutil.Process(task["pid"]).ppid()
    os.kill(worker, signal.SIGKILL)
    now_dies(run, "extract")
    killed.wait_for(lambda: not lives(task["pid"]), "the task's process ends", within=10)
    asked = len(killed.server.log)
    time.sleep(5)
    assert len(killed.server.log) == asked  # nothing of it asks on while Airflow hasn't noticed
    killed.end(run, "worker", "in the middle of extract; the task's process ends with it")
    assert run.tries == 2


def test_a_scheduler_that_is_killed_with_all_its_tasks_is_made_good(killed):
    run, _ = in_the_middle(killed)
    killed.airflow.kill("scheduler")
    now_dies(run, "extract")
    killed.airflow.start("scheduler")
    killed.end(run, "scheduler with its tasks", "in the middle of extract")
    assert run.tries == 2


def kill_between_transactions(scheduler, database):
    """What it has forked would keep a transaction open that it dies in, and a run's row locked."""
    process = psutil.Process(scheduler.pid)
    for _ in range(200):
        process.suspend()
        time.sleep(0.1)
        ports = [one.laddr.port for one in process.net_connections("tcp") if one.raddr]
        if not database.busy(ports):
            process.kill()
            scheduler.wait(10)
            return
        process.resume()
        time.sleep(0.05)
    pytest.fail("the scheduler was in a transaction at each look")


def test_a_scheduler_that_is_killed_alone_is_made_good(killed):
    """Its task asks on until it is tried again; then what the dead one had started is ended, as supervisors do."""
    with killed.server_with(latency_ms=2000):  # so long that Airflow notices before the task is done
        run, task = in_the_middle(killed, 2)
        scheduler = killed.airflow.parts["scheduler"]
        orphans = [psutil.Process(pid) for pid in scheduler.members() if pid != scheduler.pid]
        kill_between_transactions(scheduler, killed.database)
        now_dies(run)
        killed.airflow.start("scheduler")
        assert lives(task["pid"])
        killed.wait_for(lambda: killed.tries(run) == 2, "a second try")
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        killed.end(run, "scheduler alone", "in the middle of extract")
    assert run.tries == 2


def test_an_api_server_that_is_killed_is_made_good(killed):
    run, _ = in_the_middle(killed)
    killed.airflow.kill("api-server")
    now_dies(run)
    killed.airflow.start("api-server")
    killed.end(run, "API server", "in the middle of extract")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_database_that_is_restarted_is_made_good(killed, how):
    run, _ = in_the_middle(killed)
    getattr(killed.database, how)()
    now_dies(run)
    time.sleep(3)
    killed.database.start()
    killed.end(run, "database" if how == "kill" else "database, stopped in order", "in the middle of extract")


def test_a_deferred_sensor_goes_on_waiting_with_a_new_triggerer(killed):
    fleet = killed.server.fleet
    now = fleet.now()
    rows = fleet.truth_site_data(
        fleet.site_ids[0], "hourly", now - timedelta(days=2), now - timedelta(days=1), ["Wh_sum"]
    )
    hour = next(row["ts"] for row in reversed(rows) if row["Wh_sum"] is not None)
    with killed.clock_at(hour + timedelta(minutes=59)):
        run = killed.trigger(
            "deferred", site_id=fleet.site_ids[0], until=(hour + timedelta(hours=1)).isoformat()
        )
        killed.wait_for_requests(run, 3)
        killed.airflow.kill("triggerer")
        now_dies(run)
        time.sleep(3)
        asked = len(killed.server.log)
        killed.airflow.start("triggerer")
        killed.wait_for(lambda: len(killed.server.log) > asked + 3, "a new triggerer looks")
        tasks = killed.airflow.tasks(run.dag_id, run.run_id)
        assert {task["state"] for task in tasks} == {"deferred"}
    killed.end(run, "triggerer", "while a deferred sensor waits")
    assert run.tries == 1
