from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging, StagingError, remove_staging

ROWS = pa.table({"entity_id": [1, 2]})


@pytest.fixture
def staging(tmp_path):
    staging = Staging(Lake(tmp_path.as_uri()), "plan")
    staging.write_json("plan.json", {"batches": 1})
    return staging


def files(staging):
    folder = Path(staging.uri.removeprefix("file://"))
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_parts_come_back_in_order_with_their_manifests(staging):
    batch = staging.batch(3)
    batch.commit_part(ROWS, {"requests": [1]})
    batch.commit_part(None, {"requests": [2]})
    first, second = staging.batch(3).manifests()
    assert (first["requests"], second) == ([1], {"requests": [2], "part": None})
    assert pq.read_table(first["part"].removeprefix("file://")) == ROWS
    assert staging.batch(4).manifests() == []


def test_a_part_without_its_manifest_is_ignored_and_its_place_is_used_again(staging):
    batch = staging.batch(0)
    first = batch.commit_part(ROWS, {"try": 1})
    manifest = Path(first["part"].removeprefix("file://")).with_name(
        Path(first["part"]).name.replace("part-", "manifest-").replace(".parquet", ".json")
    )
    manifest.unlink()
    assert batch.manifests() == []
    batch.commit_part(ROWS, {"try": 2})
    assert [found["try"] for found in batch.manifests()] == [2]


def test_files_that_are_being_written_are_not_manifests(staging):
    whole = (
        Path(staging.batch(0).commit_part(None, {"a": 1}) and staging.uri.removeprefix("file://")) / "00000"
    )
    (whole / "manifest-00001.json.abcd.tmp").write_text("{")
    assert [found["a"] for found in staging.batch(0).manifests()] == [1]


def test_another_task_finds_the_staging_by_its_address(staging):
    assert Staging.at(staging.lake, staging.uri).read_json("plan.json") == {"batches": 1}
    with pytest.raises(StagingError, match="same lake"):
        Staging.at(staging.lake, "s3://elsewhere/_staging/plan")


def test_ids_of_runs_become_folders_of_their_own(tmp_path):
    lake = Lake(tmp_path.as_uri())
    ids = ["manual__2024-01-01T00:00:00+00:00", "manual__2024-01-01T00:00:00 00:00", "a/b", "..", "a_b"]
    for number, plan_id in enumerate(ids):
        Staging(lake, plan_id).write_json("plan.json", number)
    assert [Staging.at(lake, Staging(lake, plan_id).uri).read_json("plan.json") for plan_id in ids] == [
        *range(len(ids))
    ]
    assert {path.parent for path in tmp_path.rglob("plan.json")} == {
        Path(Staging(lake, plan_id).uri.removeprefix("file://")) for plan_id in ids
    }


def test_staging_that_cannot_be_seen_says_that_the_lake_must_be_shared(tmp_path):
    elsewhere = Staging(Lake(tmp_path.as_uri()), "plan")
    for look in (lambda: elsewhere.read_json("plan.json"), elsewhere.batch(0).manifests):
        with pytest.raises(
            StagingError, match=r"several machines the lake must be on shared storage \(s3://"
        ):
            look()


def test_removing_takes_everything_of_the_plan_and_nothing_else(staging):
    other = Staging(staging.lake, "other")
    other.write_json("plan.json", {})
    staging.batch(0).commit_part(ROWS, {})
    staging.remove()
    staging.remove()
    assert files(staging) == []
    assert files(other) == ["plan.json"]


def test_removing_by_prefix_takes_the_plans_of_one_run(staging):
    for plan_id in ("run1.a", "run1.b", "run2.a"):
        Staging(staging.lake, plan_id).write_json("plan.json", {})
    remove_staging(staging.lake, "run1.")
    assert files(Staging(staging.lake, "run1.a")) == files(Staging(staging.lake, "run1.b")) == []
    assert files(Staging(staging.lake, "run2.a")) == ["plan.json"]
