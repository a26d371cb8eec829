"""Writers that race on S3 never lose a commit, whatever the environment tells deltalake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from locus_stem.tables.lake import Lake, LakeError
from support.object_store import object_store

WRITERS, COMMITS = 3, 8
#: Long enough that writers list the log before another's commit is there.
PUT_SECONDS = 0.3
#: What of the environment would tell deltalake to commit without a condition.
UNSAFE = {
    "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
    "AWS_CONDITIONAL_PUT": "disabled",
    "AWS_COPY_IF_NOT_EXISTS": "header: x-nothing: true",
}
WRITER = """
import sys
import deltalake, pyarrow as pa
from locus_stem.tables import commit
from locus_stem.tables.lake import Lake
from locus_stem.tables.schemas import SPECS
uri, me, commits = sys.argv[1], sys.argv[2], int(sys.argv[3])
lake, looks = Lake(uri), 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(commits):
    row = pa.Table.from_pylist([{"dag_id": me, "run_id": str(number), "requests": 1}], schema=SPECS["runs"].schema())
    def work(table):
        global looks
        looks += 1
        commit.append(table, row)
    while True:
        try:
            commit.exclusively(lake, "runs", work)
            break
        except commit.CommitConflictError:
            pass
print(looks)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with object_store(tmp_path_factory.mktemp("store"), put_seconds=PUT_SECONDS) as running:
        yield running


def race(store, uri):
    """Let processes commit to one table at once, all but one with unsafe options; return how often they worked."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, uri, f"writer {me}", str(COMMITS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **store.environment(), **(UNSAFE if me else {})},
        )
        for me in range(WRITERS)
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * WRITERS
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=300)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    return sum(map(int, said))


def committed(lake):
    return Counter((row["dag_id"], row["run_id"]) for row in lake.read("runs").to_pylist())


EVERY = Counter({(f"writer {me}", str(number)): 1 for me in range(WRITERS) for number in range(COMMITS)})


def test_every_commit_of_processes_that_race_is_there_exactly_once(store, bucket, environment):
    lake = Lake(f"s3://{bucket}/lake")
    worked = race(store, lake.uri)
    assert committed(lake) == EVERY
    assert lake.open("runs").version() == WRITERS * COMMITS
    assert worked >= WRITERS * COMMITS + WRITERS - 1  # all began with one log: one of them was first
    commits = [
        request
        for request in store.requests()
        if request["method"] == "PUT"
        and request["path"].startswith(f"/{bucket}/lake/runs/_delta_log/")
        and request["path"].endswith(".json")
    ]
    assert {request["if_none_match"] for request in commits} == {"*"}
    made = Counter(request["path"] for request in commits if request["status"] == 200)
    assert made == Counter(
        f"/{bucket}/lake/runs/_delta_log/{v:020d}.json" for v in range(WRITERS * COMMITS + 1)
    )
    assert [request["status"] for request in commits].count(
        412
    ) >= WRITERS - 1  # it was the store that decided


def test_a_store_that_passes_over_conditions_loses_commits_and_is_refused(
    tmp_path, nothing_known, monkeypatch
):
    """What the look before a run is for; and the race above would notice it."""
    with object_store(tmp_path, conditional=False, put_seconds=PUT_SECONDS) as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        lake = Lake(f"s3://{store.bucket('plants')}/lake")
        with pytest.raises(LakeError, match=r"no conditional puts \(If-None-Match\)"):
            lake.check()
        assert store.keys("plants") == []
        race(store, lake.uri)
        assert sum(committed(lake).values()) < WRITERS * COMMITS
