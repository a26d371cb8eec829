from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from deltalake.exceptions import CommitFailedError

from locus_stem.tables import commit
from locus_stem.tables.runs import add_run, record_runs

KEY = {"dag_id": "d", "run_id": "r", "task_id": "extract", "map_index": 3, "try_number": 1}


def at(minute):
    return datetime(2024, 1, 1, 12, minute, tzinfo=UTC)


def test_a_run_is_written_once_and_replaced_by_a_newer_row(bench):
    row = {**KEY, "started": at(0), "requests": 3, "answered_by_status": {"200": 2, "429": 1}, "rows_new": 5}
    assert record_runs(bench.lake, [row, {**row, "map_index": 4}]).new == 2
    version = bench.version("runs")
    assert record_runs(bench.lake, [row]).unchanged == 1
    assert bench.version("runs") == version
    assert record_runs(bench.lake, [{**row, "requests": 4}]).changed == 1
    found = {r["map_index"]: r for r in bench.lake.read("runs").to_pylist()}
    assert {index: r["requests"] for index, r in found.items()} == {3: 4.0, 4: 3.0}
    assert json.loads(found[3]["answered_by_status"]) == {"200": 2, "429": 1}


def test_turns_of_one_try_add_up(bench):
    turn = {
        **KEY,
        "started": at(5),
        "ended": at(6),
        "requests": 2,
        "answered_by_status": {"200": 2},
        "api_seconds": 0.5,
    }
    add_run(bench.lake, turn)
    add_run(
        bench.lake, {**turn, "started": at(8), "ended": at(9), "answered_by_status": {"200": 1, "500": 1}}
    )
    record_runs(bench.lake, [{**KEY, "try_number": 2, "requests": 1}])
    first, second = sorted(bench.lake.read("runs").to_pylist(), key=lambda row: row["try_number"])
    assert (first["requests"], first["api_seconds"], second["requests"]) == (4.0, 1.0, 1.0)
    assert (first["started"], first["ended"]) == (at(5), at(9))
    assert json.loads(first["answered_by_status"]) == {"200": 3, "500": 1}


def test_a_turn_counts_once_where_the_answer_to_its_commit_is_lost(bench, monkeypatch):
    """As a store does that has put the commit's file and doesn't get to say so: its client puts it again."""
    turn = {**KEY, "started": at(5), "ended": at(6), "requests": 2}
    add_run(bench.lake, turn)
    commits = []
    merge = commit.merge

    def lost(*arguments, **named):
        merge(*arguments, **named)
        commits.append(1)
        if len(commits) == 1:
            raise CommitFailedError("version 3 exists already")

    monkeypatch.setattr(commit, "merge", lost)
    add_run(bench.lake, {**turn, "ended": at(9)})
    assert [row["requests"] for row in bench.lake.read("runs").to_pylist()] == [4.0]
    assert commits == [1]


@pytest.mark.parametrize("row", [{**KEY, "rows": 1}, {**KEY, "run_id": None}, {"dag_id": "d"}])
def test_a_row_with_an_unknown_column_or_without_its_key_is_refused(bench, row):
    for write in (lambda: record_runs(bench.lake, [row]), lambda: add_run(bench.lake, row)):
        with pytest.raises(ValueError, match="unknown columns"):
            write()
    assert bench.lake.open("runs") is None


def test_no_rows_make_no_table(bench):
    assert record_runs(bench.lake, []).new == 0
    assert bench.lake.open("runs") is None
