from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from locus_stem.tables.lake import Lake, LakeError, LakeUnavailableError
from locus_stem.tables.objects import load_objects
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.storage_failures import storage_failure

ARROW = "\n  \x1b[31m↳\x1b[0m "


@pytest.mark.parametrize(
    ("uri", "wrong"),
    [
        ("http://bucket/lake", "scheme 'http' is unknown"),
        ("lake/here", "relative path"),
        ("", "relative path"),
        ("/var/lake", "no scheme"),
        ("file://lake/here", "host 'lake'"),
        ("file:lake", "no scheme"),
        ("s3:///lake", "names no bucket"),
        ("s3://bucket/lake?region=eu", "followed by"),
        ("file:///lake#1", "followed by"),
        ("file:///a%2520b", "% and two hex digits"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong_and_what_is_allowed(uri, wrong):
    with pytest.raises(LakeError, match="allowed are file:///absolute/folder, s3://") as caught:
        Lake(uri).check()
    assert wrong in str(caught.value)


def test_keys_in_the_address_are_refused_and_not_repeated():
    with pytest.raises(LakeError, match=r"keys don.t belong into the address") as caught:
        Lake("s3://AKIA:very-secret@bucket/lake").check()
    assert "very-secret" not in str(caught.value)


def test_a_store_and_its_keys_are_never_shown(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    lake = Lake("s3://bucket/lake")
    assert lake.delta_address("runs")[1]["aws_secret_access_key"] == "very-secret"
    assert "very-secret" not in repr(lake) + repr(lake.store) + str(lake.store)


def test_a_connection_in_the_address_is_airflows_to_find():
    with pytest.raises(LakeError, match=r"lake s3://bucket/lake: the connection 'aws_default'.*open_lake"):
        Lake("s3://aws_default@bucket/lake")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "lake"):
        with pytest.raises(LakeError, match="is a file, not a folder"):
            Lake(place.as_uri()).check()


def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(LakeError, match=r"/proc/lake.*write access"):
        Lake("file:///proc/lake").check()


def test_a_folder_that_exists_but_cannot_be_written_is_refused():
    with pytest.raises(LakeError, match="can't be written"):
        Lake("file:///proc").check()


def test_a_good_folder_is_made_and_the_probe_leaves_nothing(tmp_path):
    lake = Lake((tmp_path / "new" / "lake").as_uri())
    lake.check()
    assert list((tmp_path / "new" / "lake").iterdir()) == []


@pytest.mark.parametrize("name", ["my lake", "100%", "a#b?c", "häuser"])
def test_a_folder_may_have_any_letters(tmp_path, name):
    lake = Lake((tmp_path / name).as_uri())
    lake.check()
    load_objects(lake, "locus_sites", [{"id": 1}], complete=False, today=None)
    assert lake.read("locus_sites").num_rows == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "locus_sites" / "_delta_log").is_dir()


def test_a_table_that_is_absent_is_read_as_empty_and_typed(tmp_path):
    rows = Lake(tmp_path.as_uri()).read("locus_site_data", columns=["site_id", "ts", "W_avg"])
    assert rows.num_rows == 0
    assert rows.schema.types == [pa.int64(), pa.timestamp("us", tz="UTC"), pa.float64()]


def test_a_column_that_no_table_has_is_an_error(tmp_path):
    with pytest.raises(KeyError, match="nonsense"):
        Lake(tmp_path.as_uri()).read("coverage", columns=["nonsense"])


@pytest.fixture
def nowhere(monkeypatch):
    """A lake in a store at a port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        yield Lake("s3://bucket/lake")


def test_a_store_that_cannot_be_reached_is_an_error_of_the_lakes_on_one_line(nowhere):
    with pytest.raises(LakeUnavailableError) as caught:
        nowhere.read("coverage")
    said = str(caught.value)
    assert said.startswith("lake s3://bucket/lake: the store can't be reached, or fails (Connection refused")
    assert said.isprintable()


def test_a_store_that_fails_while_rows_are_read_is_one_too(tmp_path):
    schema = pa.schema([SPECS["coverage"].schema().field("source")])

    class Scanned:
        def schema(self):
            return SimpleNamespace(to_arrow=lambda: schema)

        def scan(self, *_):
            return pa.RecordBatchReader.from_batches(schema, batches())

    def batches():
        yield from schema.empty_table().to_batches()
        raise OSError(f"Generic S3 error{ARROW}503 Service Unavailable")

    lake = Lake(tmp_path.as_uri())
    rows, _ = lake.batches(Scanned(), ["source"])
    with pytest.raises(LakeUnavailableError, match="503 Service Unavailable"):
        list(rows)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            f"{ARROW}Error performing GET http://h/b in 3s{ARROW}503 Service Unavailable{ARROW}<Message>key</Message>",
            "503 Service Unavailable",
        ),
        (f"{ARROW}Error performing GET http://h/b{ARROW}403 Forbidden{ARROW}key", "403 Forbidden"),
        (
            f"{ARROW}Error performing GET http://h/b - HTTP error{ARROW}dns error{ARROW}Name or service not known\n",
            "Name or service not known",
        ),
        (
            ": Error performing PUT http://h/b - HTTP error: error sending request: operation timed out",
            "operation timed out",
        ),
        (f"{ARROW}<html>key</html>", "it doesn't say why"),
    ],
)
def test_of_what_a_store_has_done_only_what_no_answer_writes_is_shown(said, reason):
    found = storage_failure("s3://bucket/lake", OSError(f"Generic S3 error{said}"))
    assert isinstance(found, LakeUnavailableError)
    assert f"fails ({reason}). What is loaded" in str(found)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "When initiating multiple part upload for key 'x' in bucket 'b': AWS Error INVALID_ACCESS_KEY_ID during "
            "CreateMultipartUpload operation: The key AKIA-KEY doesn't exist (Request ID: 21)",
            "INVALID_ACCESS_KEY_ID at CreateMultipartUpload",
        ),
        (
            "When reading information for key 'x' in bucket 'b': AWS Error UNKNOWN (HTTP status 503) during HeadObject "
            "operation: No response body.",
            "UNKNOWN (HTTP status 503) at HeadObject",
        ),
        (
            "When listing objects under key 'x': AWS Error NETWORK_CONNECTION during ListObjectsV2 operation: "
            "curlCode: 7, Could not connect to server; Details: Failed to connect to h port 80",
            "Could not connect to server at ListObjectsV2",
        ),
        (
            "When deleting: AWS Error [code 99] during PutObject operation: key",
            "[code 99] at PutObject",
        ),
        (
            "Got the following 2 errors when deleting objects in S3 bucket 'b':\n- key 'x': AKIA may not",
            "objects can't be deleted",
        ),
    ],
)
def test_of_what_a_store_has_done_to_arrow_only_code_and_action_are_shown(said, reason):
    found = storage_failure("s3://bucket/lake", OSError(said))
    assert isinstance(found, LakeUnavailableError)
    assert f"fails ({reason}). What is loaded" in str(found)


def test_a_slash_at_the_end_of_the_address_makes_no_difference(tmp_path):
    assert Lake(tmp_path.as_uri() + "/").table_uri("runs") == f"{tmp_path.as_uri()}/runs"
    assert Path(Lake(tmp_path.as_uri() + "/").delta_address("runs")[0]) == tmp_path / "runs"


def test_text_that_a_merge_has_written_can_be_filtered(tmp_path):
    lake = Lake(tmp_path.as_uri())
    for name in ("a", "b"):
        load_objects(lake, "locus_sites", [{"id": 1, "name": name}, {"id": 2}], complete=True, today=None)
    for filters, ids in (
        ([("name", "=", "b")], [1]),
        ([("name", "in", ["b", "c"]), ("site_id", ">=", 1)], [1]),
        ([("name", "in", [])], []),
        ([("name", "=", None)], [2]),
        ([("name", "!=", None)], [1]),
        ([("site_id", "not in", [1])], [2]),
    ):
        assert lake.read("locus_sites", columns=["site_id"], filters=filters).to_pydict() == {"site_id": ids}
    with pytest.raises(ValueError, match="operator 'like' is unknown"):
        lake.read("locus_sites", filters=[("name", "like", "b")])
