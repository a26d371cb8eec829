from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from locus_stem.tables import commit
from locus_stem.tables.lake import Lake
from locus_stem.tables.measurements import Asked, load_measurements
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import upsert

from .conftest import hour

TABLE = "locus_site_data"

LOADER = """
import json, sys, time
from datetime import datetime
import deltalake, pyarrow.dataset
from locus_stem.tables.lake import Lake
from locus_stem.tables.measurements import Asked, load_measurements
task = json.loads(sys.argv[1])
instant = datetime.fromisoformat
asked = [Asked(e, e, "UTC", ("W",), instant(start), instant(end)) for e, start, end in task["asked"]]
for number, (uri, part) in enumerate(task["loads"]):
    time.sleep(max(0, task["at"] + number * 0.2 - time.time()))
    counts = load_measurements(Lake(uri), "locus_site_data", "hourly", [part], asked)
    print(counts.new, counts.changed, counts.unchanged)
"""


@pytest.mark.parametrize("created", [True, False])
def test_two_processes_that_load_overlapping_windows_end_exact(tmp_path, new_bench, created):
    """Both look at empty windows, or at no table at all, at the same moment, in one lake after another."""
    windows = {"left": (-40, 20), "right": (-20, 40)}
    benches = [new_bench(Lake((tmp_path / str(number)).as_uri())) for number in range(12)]
    loads = {name: [] for name in windows}
    for bench in benches:
        if created:  # with its column: Delta itself would stop two that both add one
            scope = [Asked(9, 9, "UTC", ("W",), hour(-1), hour(1))]
            part = bench.stage([(9, -1, {"W": 1.0}), (9, 0, {"W": 1.0})])
            load_measurements(bench.lake, TABLE, "hourly", [part], scope)
        for name, (start, end) in windows.items():
            rows = [(entity, at, {"W": float(at)}) for entity in (1, 2) for at in range(start, end)]
            loads[name].append((bench.lake.uri, bench.stage(rows)))
    tasks = []
    moment = time.time() + 3
    for name, (start, end) in windows.items():
        asked = [(entity, hour(start).isoformat(), hour(end).isoformat()) for entity in (1, 2)]
        task = json.dumps({"asked": asked, "loads": loads[name], "at": moment})
        tasks.append(
            subprocess.Popen([sys.executable, "-c", LOADER, task], stdout=subprocess.PIPE, text=True)
        )
    said = [task.communicate(timeout=120)[0].splitlines() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0]
    for bench, *lines in zip(benches, *said, strict=True):
        rows = [row for row in bench.lake.read(TABLE).to_pylist() if row["site_id"] != 9]
        assert len(rows) == 160
        assert {(row["site_id"], row["ts"]): row["W"] for row in rows} == {
            (entity, hour(at)): float(at) for entity in (1, 2) for at in range(-40, 40)
        }
        (new, changed, unchanged), (more, again, same) = (map(int, line.split()) for line in lines)
        assert (new + more, changed + again, unchanged + same) == (160, 0, 80)


def test_a_loader_that_is_overtaken_compares_again_with_what_the_other_wrote(bench):
    other = bench.stage([(2, 0, {"W": 1.0})])
    load_measurements(bench.lake, TABLE, "hourly", [other], [Asked(2, 2, "UTC", ("W",), hour(0), hour(1))])
    part = bench.stage((1, at, {"W": 1.0}) for at in range(10))
    asked = [Asked(1, 1, "UTC", ("W",), hour(0), hour(10))]
    rows = pa.table({
        "site_id": [1], "granularity": ["hourly"], "ts": pa.array([hour(0)], pa.timestamp("us", "UTC")),
        "local_date": [hour(0).date()], "month": [hour(0).date()], "W": [1.0],
    })  # fmt: skip
    seen = []

    def work(table):
        seen.append(bench.lake.dataset(table, TABLE).count_rows())
        if len(seen) == 1:
            load_measurements(bench.lake, TABLE, "hourly", [part], asked)
        if seen[-1] == 1:
            commit.append(table, rows)

    commit.exclusively(bench.lake, TABLE, work)
    assert seen == [1, 11]
    assert bench.lake.read(TABLE).num_rows == 11


@pytest.mark.parametrize("kind", ["append", "merge", "rewrite"])
def test_no_commit_is_made_onto_a_version_that_was_not_read(bench, kind):
    name = "locus_clients"
    schema = SPECS[name].schema()
    one = pa.Table.from_pylist([{"client_id": 1, "tz": "UTC"}], schema=schema)
    upsert(bench.lake, name, one)
    stale = bench.lake.open(name)
    upsert(bench.lake, name, pa.Table.from_pylist([{"client_id": 2}], schema=schema))
    change = pa.Table.from_pylist([{"client_id": 1, "tz": "changed"}], schema=schema)
    writes = {
        "append": lambda: commit.append(stale, change),
        "merge": lambda: commit.merge(
            stale, change, key=["client_id"], update=["tz"], insert=change.column_names
        ),
        "rewrite": lambda: commit.rewrite(stale, change.to_reader(), '"client_id" = 1'),
    }
    with pytest.raises(commit.CommitFailedError):
        writes[kind]()
    found = bench.lake.read(name, columns=["client_id", "tz"]).to_pylist()
    assert sorted(row["client_id"] for row in found) == [1, 2]
    assert "changed" not in {row["tz"] for row in found}


def test_a_slow_writer_that_loses_thirty_times_against_quick_ones_commits_all_the_same(bench, monkeypatch):
    monkeypatch.setattr(commit, "LONGEST_PAUSE", 0.0)
    rows = pa.Table.from_pylist([{"dag_id": "slow"}], schema=SPECS["runs"].schema())
    quick = pa.Table.from_pylist([{"dag_id": "quick"}], schema=SPECS["runs"].schema())
    tries = []

    def overtaken(table):
        tries.append(table.version())
        if len(tries) <= 30:
            commit.append(bench.lake.open("runs"), quick)
        commit.append(table, rows)

    commit.exclusively(bench.lake, "runs", overtaken)
    assert len(tries) == 31
    assert sorted(bench.lake.read("runs").column("dag_id").to_pylist()) == ["quick"] * 30 + ["slow"]


def test_a_commit_that_fails_though_nobody_else_wrote_is_no_conflict(bench):
    tries = []

    def fails(table):
        tries.append(table)
        raise commit.CommitFailedError("the disk is full")

    with pytest.raises(commit.CommitFailedError, match="the disk is full"):
        commit.exclusively(bench.lake, "runs", fails)
    assert len(tries) == 1


def test_a_loader_that_is_overtaken_every_time_gives_up_in_the_end_and_says_so(bench, monkeypatch):
    monkeypatch.setattr(commit, "PATIENCE", timedelta(seconds=2))
    tries = []

    def overtaken(table):
        tries.append(table.version())
        write_deltalake(bench.lake.open("runs"), SPECS["runs"].schema().empty_table(), mode="append")
        write_deltalake(
            bench.lake.open("runs"),
            SPECS["runs"].schema().empty_table(),
            mode="append",
            commit_properties=CommitProperties(app_transactions=[Transaction("other", len(tries))]),
        )
        commit.append(table, pa.Table.from_pylist([{"dag_id": "d"}], schema=SPECS["runs"].schema()))

    with pytest.raises(commit.CommitConflictError, match="runs was changed by other writers"):
        commit.exclusively(bench.lake, "runs", overtaken)
    assert len(tries) == len(set(tries)) > 3
    assert bench.lake.read("runs").num_rows == 0


def test_a_table_is_created_once_with_the_feed_and_the_log_s_settings(bench):
    commit.exclusively(bench.lake, TABLE, lambda table: table.version())
    commit.exclusively(bench.lake, TABLE, lambda table: table.version())
    table = DeltaTable(bench.lake.table_uri(TABLE))
    assert table.version() == 0
    assert table.metadata().configuration == dict(commit.SETTINGS)
    assert table.metadata().configuration["delta.enableChangeDataFeed"] == "true"


def test_a_transaction_is_carried_by_a_change_and_by_none(bench):
    rows = pa.Table.from_pylist([{"alert_id": 1}], schema=SPECS["locus_alerts"].schema())
    for version in (1, 2):
        upsert(bench.lake, "locus_alerts", rows, transactions=[Transaction("cursor", version)])
        assert bench.lake.open("locus_alerts").transaction_version("cursor") == version
    changed = pa.Table.from_pylist([{"alert_id": 1, "priority": "High"}], schema=rows.schema)
    upsert(bench.lake, "locus_alerts", changed, transactions=[Transaction("cursor", 3)])
    assert bench.lake.open("locus_alerts").transaction_version("cursor") == 3
    assert bench.lake.read("locus_alerts").num_rows == 1
