"""A table's lease: one load at a time, whatever becomes of the one before."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.tables import commit, lease
from locus_stem.tables.lease import LOADS, AnotherTryError, Lease, LeaseLostError, lease_of
from locus_stem.tables.loads import forget_loads, load_in_order
from locus_stem.tables.measurements import Asked, load_measurements

from .conftest import hour

TABLE = "locus_site_data"
TABLES = (TABLE, "coverage")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(lease, "TERM", 2.0)
    monkeypatch.setattr(lease, "LOOK", 0.1)


def test_a_load_waits_for_the_one_before_and_says_so(bench, caplog):
    caplog.set_level(logging.INFO)
    order = []

    def second():
        with lease_of(bench.lake, TABLE, "the second", TABLES):
            order.append("second")

    with lease_of(bench.lake, TABLE, "the first", TABLES) as held:
        other = threading.Thread(target=second)
        other.start()
        time.sleep(3 * lease.TERM)  # a load that takes longer than a term keeps its lease
        order.append("first")
        held.check()
        held.give_back()
    other.join(timeout=60)
    assert order == ["first", "second"]
    assert "locus_site_data is being loaded by the first; this load waits" in caplog.text


def test_loads_of_different_tables_do_not_wait_for_each_other(bench):
    with (
        lease_of(bench.lake, TABLE, "one", TABLES) as held,
        lease_of(bench.lake, "stem_streams", "other", ("stem_streams", "coverage")) as other,
    ):
        held.check()
        other.check()


def killed(lake, load="killed"):
    """Hold the lease and be killed: it is neither given back nor renewed."""
    held = Lease(lake, TABLE, load)
    held.take(TABLES)
    held.end()
    return held


def test_a_killed_load_s_lease_is_taken_by_another_load_after_its_term_alone(bench):
    held = killed(bench.lake)
    begun = time.time()
    with lease_of(bench.lake, TABLE, "next", TABLES):
        assert time.time() - begun > 1.0
        with pytest.raises(LeaseLostError):
            held.check()
        with pytest.raises(LeaseLostError):
            held.give_back()


def test_the_retry_of_a_killed_load_goes_on_at_once_and_the_killed_one_could_do_no_more(bench, monkeypatch):
    monkeypatch.setattr(lease, "TERM", 3600.0)
    held = killed(bench.lake)
    with lease_of(bench.lake, TABLE, "killed", TABLES) as retry:
        retry.check()
        with pytest.raises(AnotherTryError):
            held.check()
        with pytest.raises(AnotherTryError):
            held.give_back()
        retry.check()


def test_what_a_killed_load_had_opened_can_not_be_committed_any_more(bench):
    """Even where the load after it has nothing to change."""
    rows = bench.lake.read(TABLE)
    killed(bench.lake)
    opened = commit.exclusively(bench.lake, TABLE, lambda table: table)
    with lease_of(bench.lake, TABLE, "next", TABLES):
        pass
    with pytest.raises(commit.CommitFailedError):
        commit.append(opened, rows)


def test_a_load_that_fails_gives_its_lease_back(bench):
    with pytest.raises(ZeroDivisionError), lease_of(bench.lake, TABLE, "fails", TABLES):
        _ = 1 / 0
    begun = bench.version(LOADS)
    with lease_of(bench.lake, TABLE, "next", TABLES) as held:
        held.give_back()
    assert bench.version(LOADS) == begun + 2
    assert bench.lake.open(TABLE) is None  # nothing had to be kept from being committed


def test_old_loads_are_forgotten_and_young_ones_are_not(bench):
    at = datetime(2025, 1, 1, tzinfo=UTC)
    for days in (0, 10):
        asked = [Asked(1, 1, "UTC", ("W",), hour(0), hour(9), at + timedelta(days=days))]
        load_in_order(bench.lake, TABLE, "hourly", f"load {days}", asked, (), lambda due: None)
    assert forget_loads(bench.lake, at + timedelta(days=5)) == 1
    assert bench.lake.read(LOADS).column("load").to_pylist() == ["load 10"]
    old = [Asked(1, 1, "UTC", ("W",), hour(0), hour(9), at + timedelta(days=7))]
    due, overtaken = load_in_order(bench.lake, TABLE, "hourly", "load 7", old, (), lambda due: due)
    assert (due.asked, overtaken) == ([], 1)


LOADER = """
import json, sys, time
from datetime import UTC, datetime, timedelta
from locus_stem.tables import lease
from locus_stem.tables.lake import Lake
from locus_stem.tables.coverage import record_coverage
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.measurements import Asked, load_measurements
task = json.loads(sys.argv[1])
lease.TERM, lease.LOOK = 4.0, 0.1
instant = datetime.fromisoformat
lake = Lake(task["lake"])
asked = [
    Asked(entity, entity, "UTC", ("W",), instant(task["start"]), instant(task["end"]), instant(task["asked_at"]))
    for entity in (1, 2)
]

def work(due):
    if task["holds"]:
        print("holds", flush=True)
    time.sleep(task["holds"])
    counts = load_measurements(lake, "locus_site_data", "hourly", [task["part"]], due.asked)
    record_coverage(lake, "locus_site_data", "site", "hourly", [task["part"]], due.covered)
    return counts

print(load_in_order(lake, "locus_site_data", "hourly", task["load"], asked, (), work))
"""


def process(bench, load, window, value, asked_at, holds=0.0):
    start, end = window
    part = bench.stage([(entity, at, {"W": value}) for entity in (1, 2) for at in range(start, end)])
    task = {
        "lake": bench.lake.uri, "load": load, "part": part, "start": hour(start).isoformat(), "holds": holds,
        "end": hour(end).isoformat(), "asked_at": (hour(0) + timedelta(minutes=asked_at)).isoformat(),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, json.dumps(task)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_race_end_exact_though_one_is_killed_while_it_holds_the_lease(bench):
    """The one that asked last holds the lease as it is killed; the others asked before; then it is tried again."""
    windows = {1: (-40, 10), 2: (-20, 20), 3: (-10, 40), 4: (-30, 30)}
    last = process(bench, "run 4", windows[4], 4.0, 4, holds=60.0)
    assert last.stdout.readline() == "holds\n"
    others = [process(bench, f"run {number}", windows[number], float(number), number) for number in (3, 1, 2)]
    time.sleep(2)
    last.send_signal(signal.SIGKILL)
    last.wait()
    assert [other.wait(timeout=120) for other in others] == [0, 0, 0]
    again = process(bench, "run 4", windows[4], 4.0, 4)
    assert again.wait(timeout=120) == 0
    held = {(row["site_id"], row["ts"]): row["W"] for row in bench.lake.read(TABLE).to_pylist()}
    assert held == {
        (entity, hour(at)): float(
            max(number for number, (start, end) in windows.items() if start <= at < end)
        )
        for entity in (1, 2)
        for at in range(-40, 40)
    }
    assert bench.lake.read(TABLE).num_rows == len(held)
    coverage = bench.lake.read("coverage").to_pylist()
    counts = {(row["entity_id"], row["local_date"]): (row["expected"], row["received"]) for row in coverage}
    days = {hour(at).date() for at in range(-40, 40)}
    assert counts.keys() == {(entity, day) for entity in ("1", "2") for day in days}
    for (_, day), (expected, received) in counts.items():
        about = [
            sum(hour(at).date() == day for at in range(*windows[number]))
            for number in sorted(windows, reverse=True)
        ]
        assert expected == received == next(number for number in about if number)


def test_loading_the_same_again_writes_no_file_and_no_second_memory(bench):
    asked = [Asked(1, 1, "UTC", ("W",), hour(0), hour(9), hour(99))]
    part = bench.stage([(1, at, {"W": 1.0}) for at in range(9)])

    def load():
        return load_in_order(
            bench.lake, TABLE, "hourly", "run", asked, (),
            lambda due: load_measurements(bench.lake, TABLE, "hourly", [part], due.asked),
        )  # fmt: skip

    load()
    version, rows = bench.version(TABLE), bench.lake.read(LOADS).num_rows
    counts, overtaken = load()
    assert (counts.unchanged, overtaken) == (9, 0)
    assert bench.version(TABLE) == version
    assert bench.lake.read(LOADS).num_rows == rows == 1
