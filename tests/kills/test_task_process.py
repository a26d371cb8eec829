"""SIGKILL of a task's process in a real Airflow, at a named instant of its first try."""

from __future__ import annotations

import pytest

from support.effects import KillPoint

POINTS = [
    ("plan", KillPoint("request", 3, "during"), "its lists are asked for"),
    ("plan", KillPoint("file:plan.json", 1, "after"), "the plan is written"),
    ("plan", KillPoint("result", 1, "after"), "its result is handed over"),
    ("extract", KillPoint("request", 2, "during"), "the first data request"),
    ("extract", KillPoint("request", 15, "during"), "one in the middle"),
    ("extract", KillPoint("file", 1, "before"), "after the last, nothing staged"),
    ("load", KillPoint("commit", 1, "during"), "in its commit"),
    ("load", KillPoint("commit", 1, "after"), "after its commit, before coverage"),
    ("load", KillPoint("result", 1, "after"), "its result is handed over"),
    ("report", KillPoint("removal", 2, "during"), "staging is half removed"),
]


@pytest.mark.parametrize(
    ("task", "kill", "when"), POINTS, ids=[f"{task} {kill.title}" for task, kill, _ in POINTS]
)
def test_a_backfill_whose_task_is_killed_ends_exact(killed, task, kill, when):
    if (task, kill.effect) == ("plan", "request"):
        killed.forget_lists()  # else it would ask for nothing
    killed.kill_in(task, kill)
    run = killed.end(killed.backfill(), f"task {task}", when)
    assert run.tries == 2
