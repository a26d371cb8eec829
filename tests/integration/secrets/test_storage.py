"""A store that gives back the headers that it was sent, tokens included."""

from __future__ import annotations

import html

import pytest
from airflow.providers.common.compat.sdk import redact

from locus_stem.operators.alerts import LocusAlertSyncOperator
from locus_stem.operators.retries import HAS_POLICIES
from locus_stem.tables.lake import Lake, LakeError
from locus_stem.tables.storage_secrets import storage_secrets
from support.canaries import ASCII


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


@pytest.mark.parametrize("place", ["options", "environment"])
def test_no_lake_error_shows_a_key_that_the_store_gives_back(hostile, secrets, keys, monkeypatch, place):
    options = keys if place == "options" else {"AWS_ALLOW_HTTP": "true"}
    if place == "environment":
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
    lake = Lake("s3://data/forbids", options)
    with pytest.raises(LakeError) as caught:
        lake.check()
    assert secrets.in_text(repr(hostile.posts))
    assert secrets.in_text(f"{caught.value} {lake!r}") == []


def test_what_a_store_says_is_masked_in_logs_and_in_a_retrys_reason(secrets, keys, monkeypatch):
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    operator = LocusAlertSyncOperator(task_id="sync", lake_uri="s3://data/forbids")
    said = f"403 Forbidden: <Token>{html.escape(keys['AWS_SESSION_TOKEN'])}</Token> {keys['AWS_SECRET_ACCESS_KEY']}"
    assert secrets.in_text(str(redact(said)))
    operator.lake()
    assert secrets.in_text(str(redact(said))) == []
    if HAS_POLICIES:
        decision = operator.retry_policy.evaluate(LakeError(said), 1, 5)
        assert "403 Forbidden" in decision.reason
        assert secrets.in_text(decision.reason) == []


def test_keys_are_told_from_what_only_names_them():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "b", "AZURE_STORAGE_ACCOUNT_KEY": "c",
        "AZURE_STORAGE_SAS_TOKEN": "d", "GOOGLE_SERVICE_ACCOUNT_KEY": "e",
        "AWS_ACCESS_KEY_ID": "1", "AWS_WEB_IDENTITY_TOKEN_FILE": "2", "AWS_REGION": "3", "MY_SECRET": "4",
    }  # fmt: skip
    assert set(storage_secrets({"secret_access_key": "f", "region": "5"}, environment)) == set("abcdef")
