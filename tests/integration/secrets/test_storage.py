"""A store that gives back the headers that it was sent, tokens included."""

from __future__ import annotations

import html
import json
import logging
import subprocess
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.providers.common.compat.sdk import redact

from locus_stem.hooks.lake import open_lake
from locus_stem.hooks.masking import AWS
from locus_stem.operators.alerts import LocusAlertSyncOperator
from locus_stem.operators.retries import HAS_POLICIES
from locus_stem.tables.environment_keys import environment_keys
from locus_stem.tables.lake import Lake, LakeError, LakeUnavailableError
from support.canaries import ASCII
from support.serving import serving

OPEN = "from locus_stem.tables.lake import Lake; Lake('s3://data/forbids').open('locus_alerts')"
ROLE = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/lake"}


class GivesKeys(BaseHTTPRequestHandler):
    """Gives a role's keys to whoever asks, and refuses them everything."""

    def do_GET(self):
        self._answer(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(asked)
        action = "AssumeRoleWithWebIdentity" if "WebIdentity" in asked else "AssumeRole"
        keys = "".join(f"<{name}>{html.escape(value)}</{name}>" for name, value in self.server.keys.items())
        result = f"<{action}Result><Credentials>{keys}</Credentials></{action}Result>"
        self._answer(200, f"<{action}Response>{result}</{action}Response>")

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def gives_keys(**keys):
    server = ThreadingHTTPServer(("127.0.0.1", 0), GivesKeys)
    server.keys, server.asked = {**keys, "Expiration": "2099-01-01T00:00:00Z"}, []
    return serving(server)


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
    shown = "".join(traceback.format_exception(caught.value))
    assert secrets.in_text(f"{caught.value} {shown} {lake!r}") == []


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


@pytest.mark.parametrize("whose", ["environment", "connection"])
def test_a_roles_keys_and_what_they_are_asked_for_with_are_not_logged(
    nothing_known, secrets, monkeypatch, tmp_path, caplog, whose
):
    """Nobody can mask keys before they are given out."""
    for name in AWS:  # whatever other tests have made of them
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    caplog.set_level(logging.DEBUG)
    secret, token, identity = (secrets.new(ASCII) for _ in range(3))
    with gives_keys(AccessKeyId="ASIAEXAMPLE", SecretAccessKey=secret, SessionToken=token) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        if whose == "environment":
            (tmp_path / "identity").write_text(identity)
            environment = {**ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "identity")}
            environment |= {"AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-central-1"}
            for name, value in {**environment, "AWS_DEFAULT_REGION": "eu-central-1"}.items():
                monkeypatch.setenv(name, value)
        else:
            services = {name: {"endpoint_url": url} for name in ("s3", "sts")}
            extra = {
                "role_arn": ROLE["AWS_ROLE_ARN"],
                "region_name": "eu-central-1",
                "service_config": services,
            }
            fields = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": identity, "extra": extra}
            monkeypatch.setenv("AIRFLOW_CONN_CLOUD", json.dumps(fields))
        with pytest.raises(LakeError, match=r"may not do s3:ListBucket"):
            open_lake("s3://bucket/lake" if whose == "environment" else "s3://cloud@bucket/lake").check()
    assert len(server.asked) == 1
    assert "botocore.hooks" in {record.name for record in caplog.records}
    assert secrets.in_text(caplog.text) == []


def test_keys_are_told_from_what_only_names_them():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "b", "AZURE_STORAGE_ACCOUNT_KEY": "c",
        "AZURE_STORAGE_SAS_TOKEN": "d", "GOOGLE_SERVICE_ACCOUNT_KEY": "e",
        "AWS_ACCESS_KEY_ID": "1", "AWS_WEB_IDENTITY_TOKEN_FILE": "2", "AWS_REGION": "3", "MY_SECRET": "4",
    }  # fmt: skip
    assert set(environment_keys(environment)) == set("abcde")
    token = "sv=1&sig=x%2Fy&sp=r"
    assert list(environment_keys({"AZURE_STORAGE_SAS_TOKEN": token})) == [token, "x%2Fy", "x/y"]
