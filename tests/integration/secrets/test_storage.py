"""A store that gives back the headers that it was sent, tokens included."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import redact

from locus_stem.operators.alerts import LocusAlertSyncOperator
from locus_stem.operators.retries import HAS_POLICIES
from locus_stem.tables.environment_keys import environment_keys
from locus_stem.tables.lake import Lake, LakeError, LakeUnavailableError
from support.canaries import ASCII

OPEN = "from locus_stem.tables.lake import Lake; Lake('s3://data/forbids').open('locus_alerts')"


@pytest.fixture
def keys(hostile, secrets):
    return {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": secrets.new(),
        "AWS_SESSION_TOKEN": secrets.new(ASCII),
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": hostile.url,
        "AWS_ALLOW_HTTP": "true",
    }


@pytest.mark.parametrize("answer", ["refused", "garbled"])
def test_no_lake_error_shows_a_key_that_the_store_gives_back(hostile, secrets, keys, monkeypatch, answer):
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    hostile.listing = {"refused": 403, "garbled": 200}[answer]
    lake = Lake("s3://data/forbids")
    with pytest.raises((LakeError, LakeUnavailableError)) as caught:
        lake.check()
    assert secrets.in_text(repr(hostile.posts))
    assert secrets.in_text(f"{caught.value} {lake!r}") == []


def test_what_deltalake_quotes_of_an_answer_is_masked_in_logs_and_in_a_retrys_reason(
    hostile, secrets, keys, monkeypatch
):
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    # In a process of its own: while deltalake looks for a table no other thread of its process runs.
    done = subprocess.run(
        [sys.executable, "-c", OPEN], check=False, capture_output=True, text=True, timeout=120
    )
    said = done.stderr.partition("OSError: ")[2]
    assert "403" in said
    assert secrets.in_text(said), "deltalake no longer quotes the answer"
    operator = LocusAlertSyncOperator(task_id="sync", lake_uri="s3://data/forbids")
    operator.lake().store.delta_options()
    assert secrets.in_text(str(redact(said))) == []
    if HAS_POLICIES:
        decision = operator.retry_policy.evaluate(LakeError(said), 1, 5)
        assert "403" in decision.reason
        assert secrets.in_text(decision.reason) == []


def test_keys_are_told_from_what_only_names_them():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "b", "AZURE_STORAGE_ACCOUNT_KEY": "c",
        "AZURE_STORAGE_SAS_TOKEN": "d", "GOOGLE_SERVICE_ACCOUNT_KEY": "e",
        "AWS_ACCESS_KEY_ID": "1", "AWS_WEB_IDENTITY_TOKEN_FILE": "2", "AWS_REGION": "3", "MY_SECRET": "4",
    }  # fmt: skip
    assert set(environment_keys(environment)) == set("abcde")
    token = "sv=1&sig=x%2Fy&sp=r"
    assert list(environment_keys({"AZURE_STORAGE_SAS_TOKEN": token})) == [token, "x%2Fy", "x/y"]
