"""SIGKILL of a task's process at a named instant: the next try ends exact, leaves nothing, and repeats little."""

from __future__ import annotations

import pytest

from support.effects import KillPoint
from support.killed_runs import PIPELINES

#: Task (the mapped one is "extract" in all), effect, which of them, and when.
IN_ANY_BACKFILL = [
    ("plan", "commit", 2, "before"),
    ("extract", "request", 2, "during"),
    ("load", "commit", 1, "during"),
    ("load", "commit", 1, "after"),
    ("report", "removal", 2, "during"),
]
IN_A_BACKFILL = [
    ("plan", "request", 2, "after"),
    ("plan", "file:plan.json", 1, "before"),
    ("plan", "file:plan.json", 1, "during"),
    ("plan", "file:written.json", 1, "after"),
    ("extract", "request", 1, "before"),
    ("extract", "request", 4, "after"),
    ("extract", "file", 1, "during"),
    ("extract", "file", 1, "after"),
    ("extract", "file", 2, "after"),
    ("load", "file", 1, "before"),
    ("load", "commit", 1, "before"),
    ("load", "commit:coverage", 1, "during"),
    ("load", "commit:coverage", 1, "after"),
    ("report", "commit", 1, "before"),
    ("report", "commit", 2, "after"),
    ("report", "removal", 1, "before"),
    ("report", "removal", 2, "before"),
    ("report", "removal", 2, "after"),
]
IN_THE_INVENTORY = [
    ("inventory", "request", 5, "during"),
    ("inventory", "commit:locus_data_available", 1, "before"),
    ("inventory", "commit:locus_data_available", 1, "after"),
    ("inventory", "commit:runs", 1, "during"),
    ("inventory", "removal", 1, "after"),
]
OF_ALERTS = [
    ("sync", "request", 2, "during"),
    ("sync", "commit:locus_alert_history", 1, "after"),
    ("sync", "commit:locus_alerts", 1, "during"),
    ("sync", "commit:locus_alerts", 1, "after"),
    ("sync", "removal", 1, "after"),
    ("deliver", "post", 1, "before"),
    ("deliver", "post", 5, "after"),
    ("deliver", "commit", 1, "before"),
    ("deliver", "commit", 1, "after"),
]
CASES = [
    *(("sites", *point) for point in (*IN_ANY_BACKFILL, *IN_A_BACKFILL)),
    *((name, *point) for name in ("components", "bulk", "stem") for point in IN_ANY_BACKFILL),
    *(("inventory", *point) for point in IN_THE_INVENTORY),
    *(("alerts", *point) for point in OF_ALERTS),
]


@pytest.mark.parametrize(
    ("name", "task", "effect", "number", "moment"), CASES, ids=[" ".join(map(str, case)) for case in CASES]
)
def test_a_killed_try_is_made_good_by_the_next(world, name, task, effect, number, moment):
    task = PIPELINES[name].mapped if task == "extract" else task
    if effect == "request" and moment == "during":
        world.slow_down()
    run = world.run(name, KillPoint(effect, number, moment), task)
    assert run.killed == 1, run.log
    assert world.differences(name) == []
    assert world.left_in_staging() == []
    assert world.repeated() <= world.lost()
    assert world.refused() == []


def test_what_is_staged_is_not_asked_again(world):
    world.slow_down()
    world.settings["locus_stem.pipelines.extract.PART_SECONDS"] = 0.2
    run = world.run("components", KillPoint("request", 14, "after"), "extract")
    assert run.killed == 1
    assert world.differences("components") == []
    asked = [one for one in run.effects("extract", 0) if one.endswith("/data")]
    assert 13 < len(asked) < 13 + 7  # of 13 requests
    assert world.repeated() == len(asked) - 13


def test_runs_counts_what_the_killed_try_has_staged_and_each_try_after_it(world):
    world.slow_down()
    world.settings["locus_stem.pipelines.extract.PART_SECONDS"] = 0.2
    world.run("components", KillPoint("request", 14, "after"), "extract")
    rows = world.lake.read("runs").to_pylist()
    tries = sorted((row["task_id"], row["map_index"], row["try_number"]) for row in rows)
    assert tries == [("extract", 0, 1), ("extract", 0, 2), ("load", -1, 1), ("plan", -1, 1)]
    counted = sum(row["requests"] for row in rows)
    assert 0 < len(world.server.log) - counted <= world.repeated() + 1  # the killed try's own, not staged
    assert sum(row["rows_new"] for row in rows) == world.lake.read("locus_component_data").num_rows


@pytest.mark.parametrize("point", [KillPoint("removal", 2, "after"), KillPoint("commit", 2, "after")])
def test_a_run_in_which_too_much_was_refused_fails_though_its_report_was_killed(world, point):
    world.refuse_one_site()
    with pytest.raises(AssertionError, match="refused 1 of 3 entities, more than 10%"):
        world.run("sites", point, "report")
    assert world.left_in_staging() == []
