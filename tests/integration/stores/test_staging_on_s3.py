"""Staging in S3: an extract that dies goes on where it stopped, and its requests to the store stay few."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.demo import compare
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.load import load_backfill
from locus_stem.pipelines.plan import plan_daily_backfill
from locus_stem.pipelines.slot import Turn
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake, LakeUnavailableError
from locus_stem.tables.staged import StagedRows
from locus_stem.tables.staging import Staging, StagingError, remove_staging

PLANNED = 11
NOW = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
OWNER = {"dag_id": "backfill", "run_id": "test", "task_id": "extract", "map_index": 0, "try_number": 1}
ROWS = pa.table({"entity_id": pa.array([1], pa.int64())})
EXTRACTOR = """
import sys
from locus_stem.pipelines import extract
extract.PART_SECONDS = 0.0  # a part for each answer
from test_staging_on_s3 import client, extracted
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging
lake = Lake(sys.argv[1])
extracted(lake, Staging.at(lake, sys.argv[2]), 0, sys.argv[3])
"""


def client(url):
    return LocusClient(
        LocusCredentials(host=url, grant_type="bearer", password="sandbox-token", partner_id=1, label="locus")
    )


def extracted(lake, staging, number, url):
    requests = requests_of(staging, number)
    with client(url) as api:
        assert extract_batch(requests, staging.batch(number), Turn(api), OWNER) == 0


@pytest.fixture
def server():
    with Server(Fleet(sites=12, now=NOW), Options(latency_ms=150)) as running:
        yield running


@pytest.fixture
def planned(store, bucket, environment, server):
    """A lake and a plan in it: of the twelve sites one measures nothing."""
    lake = Lake(f"s3://{bucket}/lake")
    lake.check()
    with client(server.url) as api:
        plan = plan_daily_backfill(
            lake,
            {"start": "2025-10-20", "end": "2025-10-27"},
            1,
            "backfill-test",
            date(2025, 10, 26),
            Turn(api),
            scheduled=False,
        )
    assert len(plan.batches) == 1
    return lake, Staging.at(lake, plan.staging)


def asked(server):
    return [served.path for served in server.log if served.path.endswith("/data")]


def test_an_extract_that_is_killed_goes_on_from_staging_and_asks_at_most_what_it_hadnt_written(
    store, bucket, planned, server
):
    lake, staging = planned
    with subprocess.Popen(
        [sys.executable, "-c", EXTRACTOR, lake.uri, staging.uri, server.url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])},  # noqa: PTH120
    ) as process:
        while len(asked(server)) < 6:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    written, before = len(staging.batch(0).manifests()), len(asked(server))
    assert 0 < written <= before < PLANNED
    with pytest.raises(Exception, match="lacks"):
        load_backfill(lake, staging)
    extracted(lake, staging, 0, server.url)
    assert len(set(asked(server))) == PLANNED
    assert len(asked(server)) <= PLANNED + before - written + 1  # it may have asked as it died
    load_backfill(lake, staging)
    span = compare.Loaded("site", "hourly", date(2025, 10, 20), date(2025, 10, 27), NOW)
    assert [d.examples for d in compare.measurements(lake, server.fleet, [span])] == [[]]
    remove_staging(lake, "backfill-test")
    assert [key for key in store.keys(bucket, "lake/_staging/") if not key.endswith("/")] == []


def test_requests_of_a_batch_to_the_store_are_as_many_as_its_parts(store, bucket, environment):
    """Each part is two puts and a look, however many there are, and however many batches stand beside it."""
    lake = Lake(f"s3://{bucket}/lake")
    staging = Staging(lake, "plan")

    def cost(batch, parts):
        began = len(store.requests())
        for _ in range(parts):
            staging.batch(batch).commit_part(ROWS, {})
        return Counter(request["method"] for request in store.requests()[began:])

    for number in range(30):
        staging.write_json(f"batch-{number:04d}.json", [])
        staging.batch(number).commit_part(ROWS, {})
    assert cost(0, 1) == {"PUT": 2, "GET": 1}
    assert cost(1, 20) == {"PUT": 40, "GET": 20}
    began = len(store.requests())
    for number in range(30):
        staging.batch(number).manifests()
    read = Counter(request["method"] for request in store.requests()[began:])
    assert read == {"GET": 30 + 51, "HEAD": 51}  # a look for each batch, and each manifest


@pytest.mark.parametrize(
    ("work", "action"),
    [
        (lambda staging: staging.write_json("plan.json", {}), "PutObject"),
        (lambda staging: staging.read_json("plan.json"), "HeadObject"),
        (lambda staging: staging.batch(0).manifests(), "ListObjectsV2"),
        (lambda staging: staging.batch(0).commit_part(ROWS, {}), "ListObjectsV2"),
        (lambda staging: remove_staging(staging.lake, "plan"), "ListObjectsV2"),
        (lambda staging: StagedRows(staging.lake, [f"{staging.uri}/part.parquet"], ()), "HeadObject"),
    ],
    ids=["write", "read", "manifests", "commit a part", "remove", "read parts"],
)
def test_a_store_that_fails_after_the_lakes_check_is_named_and_its_refusals_are_not_quoted(
    store, bucket, environment, work, action
):
    """Keys may end while a task works: what a store says of it may quote them."""
    staging = Staging(Lake(f"s3://{bucket}/lake"), "plan")
    staging.lake.check()
    store.enforce(True)
    try:
        with pytest.raises(LakeUnavailableError) as caught:
            work(staging)
    finally:
        store.enforce(False)
    assert re.search(rf"lake s3://{bucket}/lake: the store .* fails \(\w+ at {action}\)", str(caught.value))
    assert "goes on where it stopped" in str(caught.value)


def test_a_store_that_refuses_deletions_alone_is_named(store, bucket, environment, monkeypatch):
    """What was staged then stays as it is."""
    allowed = {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
        "Resource": "*",
    }
    keys = store.user(bucket, allowed)
    staging = Staging(Lake(f"s3://{bucket}/lake"), "plan")
    staging.write_json("plan.json", {})
    staging.batch(0).commit_part(ROWS, {})
    for name, value in keys.items():
        monkeypatch.setenv(name.upper(), value)
    limited = Staging(Lake(f"s3://{bucket}/lake"), "plan")
    store.enforce(True)
    try:
        with pytest.raises(LakeUnavailableError, match="goes on where it stopped") as caught:
            limited.remove()
    finally:
        store.enforce(False)
    assert keys["aws_access_key_id"] not in str(caught.value)
    assert len(staging.batch(0).manifests()) == 1


def test_a_batch_without_a_plan_is_said_to_be_unseen(store, bucket, environment):
    staging = Staging(Lake(f"s3://{bucket}/lake"), "plan")
    with pytest.raises(StagingError, match="shared storage"):
        staging.batch(0).manifests()
    staging.write_json("plan.json", {})
    assert staging.batch(0).manifests() == []
