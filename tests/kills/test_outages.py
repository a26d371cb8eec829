"""What a running backfill and its Airflow can't mend themselves: the API gone for a while, the lake full or closed."""

from __future__ import annotations

import time

import pytest

GONE_FOR = 120.0


def test_an_api_that_is_gone_for_two_minutes_is_waited_for(killed):
    run = killed.backfill()
    killed.wait_for_requests(run, 8)
    with killed.server_down():
        run.killed_at = time.monotonic()
        time.sleep(GONE_FOR)
    killed.end(run, "API", "refuses connections for two minutes in the middle of extract", within=600)
    assert run.tries == 1  # the same request again, within its five minutes and by turns


def test_a_lake_that_fills_up_in_the_middle_of_extract_is_retried_and_exact(killed, disk):
    run = killed.backfill()
    killed.wait_for_requests(run, 8)
    disk.fill()
    run.killed_at = time.monotonic()
    log = killed.log_of_a_failed_try(run, "extract")
    assert f"lake {killed.lake.uri}: no space is left" in log
    disk.make_room()
    killed.end(run, "lake", "its disk fills up in the middle of extract, until a try has failed")
    assert run.tries > 1


def test_a_lake_that_is_closed_in_the_middle_fails_the_run_and_a_cleared_task_ends_it(killed, disk):
    run = killed.backfill()
    killed.wait_for_requests(run, 8)
    disk.close()
    run.killed_at = time.monotonic()
    assert killed.airflow.wait(run.dag_id, run.run_id) == "failed"
    disk.open()
    log = killed.whole_log(run, "extract")
    assert f"lake {killed.lake.uri}: " in log
    assert "clear the task" in log
    killed.clear(run, "extract")
    killed.end(run, "lake", "read-only from the middle of extract on; the failed task is cleared")


@pytest.fixture
def disk(killed):
    if killed.disk is None:
        pytest.skip("no file system of its own can be mounted here: that takes root")
    yield killed.disk
    killed.disk.open()
    killed.disk.make_room()
