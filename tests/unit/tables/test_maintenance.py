from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Transaction, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from locus_stem.pipelines.maintenance import maintain_lake
from locus_stem.tables import maintenance
from locus_stem.tables.lake import Lake
from locus_stem.tables.maintenance import maintain, tables_of
from locus_stem.tables.measurements import Asked, load_measurements
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import upsert
from support.examples import examples

from .conftest import Bench, hour

TABLE = "locus_site_data"
ALERTS = "locus_alerts"
NEVER = float("inf")
DAY = 86_400


def load(bench, rows, start, end, fields=("W",)):
    part = bench.stage(rows)
    asked = [Asked(entity, entity, "UTC", fields, hour(start), hour(end)) for entity in (1, 2)]
    return load_measurements(bench.lake, TABLE, "hourly", [part], asked)


def folder(lake, name):
    return Path(lake.delta_address(name)[0])


def age(lake, name, days):
    """Make all of a table older by so many days: its files' times and those in its log."""
    root, log = folder(lake, name), folder(lake, name) / "_delta_log"
    if (
        log / f"{0:020d}.json"
    ).exists():  # a checkpoint's times can't be changed; the whole log says the same
        for entry in [*log.glob("*checkpoint*")]:
            entry.unlink()
    for entry in [*log.iterdir(), *root.rglob("*.parquet")]:
        if entry.parent == log and entry.suffix == ".parquet":
            continue
        moment = entry.stat().st_mtime - days * DAY
        if entry.suffix == ".json":
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            for action in actions:
                for kind, key in (("add", "modificationTime"), ("remove", "deletionTimestamp")):
                    if kind in action:
                        action[kind][key] -= days * DAY * 1000
            entry.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
        os.utime(entry, (moment, moment))


def rows_of(lake, name=TABLE):
    return sorted(lake.read(name).to_pylist(), key=repr)


def changes(lake, since, name=TABLE):
    feed = DeltaTable(lake.table_uri(name)).load_cdf(starting_version=since).read_all()
    return sorted(pa.table(feed).to_pylist(), key=repr)


def files(lake, name=TABLE):
    return {str(path) for path in folder(lake, name).rglob("*.parquet") if path.parent.name != "_delta_log"}


LOADS = st.lists(
    st.tuples(
        st.integers(-3, 3),  # day
        st.dictionaries(
            st.sampled_from([(1, "W"), (1, "V"), (2, "W")]), st.sampled_from([1.0, 2.0, None]), min_size=1
        ),
        st.sampled_from([0, 10, 31, 45]),  # days by which everything so far is aged
        st.booleans(),  # maintain now
    ),
    min_size=2,
    max_size=8,
)


@settings(max_examples=examples(12), deadline=None)
@given(LOADS)
def test_maintenance_at_any_time_changes_neither_rows_nor_the_feed_of_the_retention(loads):
    with TemporaryDirectory() as root:
        bench = Bench(Lake((Path(root) / "lake").as_uri()))
        for day, values, days, now in loads:
            start = day * 24
            given_rows = [
                (entity, start + at, {name: value})
                for (entity, name), value in values.items()
                for at in range(4)
            ]
            load(bench, given_rows, start, start + 24, ("V", "W"))
            age(bench.lake, TABLE, days)
            if not now:
                continue
            before, version = rows_of(bench.lake), bench.version(TABLE)
            kept = max(0, version + 1 - len(_young(bench.lake)))
            feed = changes(bench.lake, kept) if kept <= version else []
            done = maintain(bench.lake, TABLE, 30, NEVER)
            assert rows_of(bench.lake) == before
            assert done.versions[0] <= kept or not feed
            assert changes(bench.lake, kept) == feed if feed else True
            again = bench.version(TABLE)
            assert maintain(bench.lake, TABLE, 30, NEVER).vacuumed == (0, 0)
            assert bench.version(TABLE) == again


def _young(lake):
    log = folder(lake, TABLE) / "_delta_log"
    border = time.time() - 30 * DAY
    return [path for path in log.glob("*.json") if path.stat().st_mtime > border]


def test_small_files_become_few_and_old_ones_are_deleted_with_their_bytes_told(bench):
    for day in range(6):
        load(bench, [(1, day * 24 + at, {"W": 1.0}) for at in range(24)], day * 24, day * 24 + 24)
    size = sum(Path(path).stat().st_size for path in files(bench.lake))
    done = maintain(bench.lake, TABLE, 30, NEVER)
    assert (done.files, done.vacuumed, done.left) == ((6, 1), (0, 0), {})
    assert len(files(bench.lake)) == 7
    age(bench.lake, TABLE, 31)
    assert maintain(bench.lake, TABLE, 30, NEVER).vacuumed == (6, size)
    assert len(files(bench.lake)) == 1
    assert len(rows_of(bench.lake)) == 144


def test_many_months_are_few_commits_so_that_no_load_is_overtaken_too_often(bench):
    for month in range(12):
        for day in (0, 1):
            start = month * 31 * 24 + day * 24
            load(bench, [(1, start, {"W": 1.0})], start, start + 24)
    before = bench.version(TABLE)
    done = maintain(bench.lake, TABLE, 45, NEVER)
    assert done.files == (24, 12)
    assert bench.version(TABLE) - before <= 5


def test_what_a_killed_load_left_is_deleted_once_it_is_old(bench):
    load(bench, [(1, 0, {"W": 1.0})], 0, 24)
    orphans = [
        folder(bench.lake, TABLE) / "granularity=hourly" / f"{name}.parquet" for name in ("old", "new")
    ]
    for orphan in orphans:
        orphan.write_bytes(b"12345")
    os.utime(orphans[0], (time.time() - 31 * DAY,) * 2)
    assert maintain(bench.lake, TABLE, 30, NEVER).vacuumed == (1, 5)
    assert [orphan.exists() for orphan in orphans] == [False, True]


def test_a_reader_that_opened_a_version_before_keeps_reading_it(bench):
    for day in range(4):
        load(bench, [(1, day * 24, {"W": float(day)})], day * 24, day * 24 + 24)
    age(bench.lake, TABLE, 8)
    table = bench.lake.open(TABLE)
    assert maintain(bench.lake, TABLE, 7, NEVER).files == (4, 1)
    assert maintain(bench.lake, TABLE, 7, NEVER).vacuumed == (0, 0)
    assert bench.lake.dataset(table, TABLE).count_rows() == 4


@pytest.mark.parametrize("retention", [None, "interval 1 seconds"])
def test_the_log_is_cut_at_the_retention_and_cursors_and_versions_after_it_stay(bench, retention):
    schema = SPECS[ALERTS].schema()
    for number in range(130):
        row = pa.Table.from_pylist([{"alert_id": number}], schema=schema)
        if number <= 5:
            cursor = (Transaction("cursor", 77),) if number == 5 else ()
            upsert(bench.lake, ALERTS, row, transactions=cursor)
        else:  # the same commit, made faster
            write_deltalake(bench.lake.table_uri(ALERTS), row, mode="append")
    if retention:
        time.sleep(1.1)
        bench.lake.open(ALERTS).alter.set_table_properties(
            {"delta.setTransactionRetentionDuration": retention}
        )
    log = folder(bench.lake, ALERTS) / "_delta_log"
    old = time.time() - 31 * DAY
    for entry in log.iterdir():
        if entry.name[:20].isdecimal() and int(entry.name[:20]) <= 110:
            os.utime(entry, (old, old))
    feed = changes(bench.lake, 111, ALERTS)
    done = maintain(bench.lake, ALERTS, 30, NEVER)
    assert done.versions[0] == done.expired == 99  # the last checkpoint from before the retention
    assert min(int(path.stem) for path in log.glob("*.json")) == 99
    assert changes(bench.lake, 111, ALERTS) == feed
    assert bench.lake.open(ALERTS).transaction_version("cursor") == 77
    assert len([row for row in feed if row["_change_type"] == "insert"]) == 20
    last = bench.version(ALERTS)
    age(bench.lake, ALERTS, 31)
    assert maintain(bench.lake, ALERTS, 30, NEVER).versions[0] >= last
    assert bench.lake.open(ALERTS).transaction_version("cursor") == 77
    assert len(rows_of(bench.lake, ALERTS)) == 130
    upsert(bench.lake, ALERTS, pa.Table.from_pylist([{"alert_id": 1000}], schema=schema))
    assert bench.lake.open(ALERTS).transaction_version("cursor") == 77


def test_a_partition_that_others_keep_changing_is_left_and_named(bench, monkeypatch):
    monkeypatch.setattr(maintenance, "TRIES", 1)
    for day in range(3):
        load(bench, [(1, day * 24, {"W": 1.0})], day * 24, day * 24 + 24)
    stale = bench.lake.open(TABLE)
    load(bench, [(1, 0, {"W": 2.0})], 0, 24)
    left = {}
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "_opened", lambda lake, name: stale)
        left = maintenance._compact(bench.lake, TABLE, stale, NEVER)
    assert list(left) == ["month 2024-02-01"]
    assert "being loaded" in left["month 2024-02-01"]
    assert len(rows_of(bench.lake)) == 3
    assert maintain(bench.lake, TABLE, 30, NEVER).left == {}
    assert [row["W"] for row in rows_of(bench.lake)].count(2.0) == 1


def test_without_time_compaction_waits_and_the_rest_is_done(bench):
    for day in range(3):
        load(bench, [(1, day * 24, {"W": 1.0})], day * 24, day * 24 + 24)
    done = maintain(bench.lake, TABLE, 30, time.monotonic() - 1)
    assert (done.files, list(done.left)) == ((3, 3), ["month 2024-02-01"])
    assert "no time" in str(done)


def test_the_tables_own_properties_follow_the_retention_once(bench):
    load(bench, [(1, 0, {"W": 1.0})], 0, 24)
    for days, commits in ((30, 0), (12, 1), (12, 0)):
        before = bench.version(TABLE)
        maintain(bench.lake, TABLE, days, NEVER)
        assert bench.version(TABLE) - before == commits
    configuration = bench.lake.open(TABLE).metadata().configuration
    assert configuration["delta.logRetentionDuration"] == "interval 12 days"
    assert configuration["delta.deletedFileRetentionDuration"] == "interval 12 days"
    assert configuration["delta.enableChangeDataFeed"] == "true"


def test_the_lakes_own_tables_are_maintained_hidden_ones_too_and_nobody_elses(bench):
    load(bench, [(1, 0, {"W": 1.0})], 0, 24)
    for name in ("_state", "users_own", "locus_west/locus_site_data"):
        write_deltalake(str(folder(bench.lake, name)), pa.table({"a": [1]}))
    assert tables_of(bench.lake) == ["_state", TABLE]
    assert tables_of(Lake(f"{bench.lake.uri}/nothing")) == []


def test_an_error_in_one_table_does_not_stop_the_others_and_is_told(bench):
    load(bench, [(1, 0, {"W": 1.0})], 0, 24)
    write_deltalake(str(folder(bench.lake, "_broken")), pa.table({"a": [1]}))
    (folder(bench.lake, "_broken") / "_delta_log" / f"{0:020d}.json").write_text("nonsense")
    report = maintain_lake(bench.lake, 30)
    assert list(report.tables) == [TABLE]
    assert list(report.errors) == ["_broken"]
    assert "_broken" in report.failure
    assert any(line.startswith("_broken: failed") for line in report.lines)


LOADER = """
import json, sys
from locus_stem.tables.lake import Lake
from locus_stem.tables.measurements import Asked, load_measurements
from datetime import datetime
task = json.loads(sys.argv[1])
instant = datetime.fromisoformat
for part, start, end in task["loads"]:
    asked = [Asked(entity, entity, "UTC", ("W",), instant(start), instant(end)) for entity in (1, 2)]
    counts = load_measurements(Lake(task["lake"]), "locus_site_data", "hourly", [part], asked)
    print(counts.new, counts.changed, flush=True)
"""


def test_loads_in_another_process_stay_exact_and_see_no_error_while_maintenance_runs_all_the_time(bench):
    loads, expected = [], {}
    for number in range(60):
        start = (number * 7) % 30 * 24  # days of one month, each loaded twice, with other values
        rows = [(entity, start + at, {"W": float(number)}) for entity in (1, 2) for at in range(24)]
        expected |= {(entity, hour(at)): values["W"] for entity, at, values in rows}
        loads.append((bench.stage(rows), hour(start).isoformat(), hour(start + 24).isoformat()))
    task = json.dumps({"lake": bench.lake.uri, "loads": loads})
    loader = subprocess.Popen(
        [sys.executable, "-c", LOADER, task], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    compacted = read = 0
    while loader.poll() is None:
        if bench.lake.open(TABLE) is None:
            continue
        table = bench.lake.open(TABLE)
        done = maintain(bench.lake, TABLE, 7, NEVER)
        compacted += done.files[1] < done.files[0]
        rows = bench.lake.dataset(table, TABLE).to_table().to_pylist()
        assert len(rows) == len({(row["site_id"], row["ts"]) for row in rows})
        read += 1
    said, errors = loader.communicate()
    assert (loader.returncode, errors) == (0, "")
    assert len(said.splitlines()) == 60
    assert {(row["site_id"], row["ts"]): row["W"] for row in rows_of(bench.lake)} == expected
    assert len(rows_of(bench.lake)) == len(expected)
    assert min(compacted, read) > 1


def test_staging_in_which_nothing_was_written_for_the_retention_is_removed(bench):
    now = datetime.now(UTC)
    for name, days in (("abandoned", 31), ("retried", 1)):
        staging = type(bench.staging)(bench.lake, name)
        staging.write_json("plan.json", {})
        staging.batch(0).commit_part(pa.table({"entity_id": [1]}), {})
        root = folder(bench.lake, f"_staging/{name}")
        for path in root.rglob("*"):
            os.utime(path, (time.time() - 40 * DAY,) * 2)
        if name == "retried":
            moment = (now - timedelta(days=days)).timestamp()
            os.utime(next(root.rglob("part-*")), (moment, moment))
    empty = folder(bench.lake, "_staging/empty")
    empty.mkdir()
    report = maintain_lake(bench.lake, 30)
    assert list(report.staging) == ["abandoned"]
    assert report.staging["abandoned"] > 0
    left = {path.name for path in folder(bench.lake, "_staging").iterdir()}
    assert left == {"plan", "retried", "empty"}
