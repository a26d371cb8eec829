"""A lake that can't be used is found out before the first request to an API, and the error says what to do."""

from __future__ import annotations

import json
import socket
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.hooks.lake import open_lake
from locus_stem.operators.alerts import LocusAlertSyncOperator
from locus_stem.operators.backfill import LocusPlanBackfillOperator
from locus_stem.operators.bulk import LocusPlanBulkOperator
from locus_stem.operators.inventory import LocusInventoryOperator
from locus_stem.operators.maintenance import LocusMaintainLakeOperator
from locus_stem.operators.retries import is_final
from locus_stem.operators.stem import StemPlanStreamsOperator
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables import s3
from locus_stem.tables.lake import LakeError, LakeUnavailableError
from locus_stem.tables.objects import load_objects
from support.object_store import REGION
from support.serving import serving

ALL = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
EXAMPLES = Path(__file__).parents[3] / "provider" / "docs" / "examples"

WEB_IDENTITY = {
    "assume_role_method": "assume_role_with_web_identity",
    "assume_role_with_web_identity_federation": "file",
    "assume_role_with_web_identity_token_file": "/nowhere",
}


def deny(action):
    return {"Effect": "Deny", "Action": action, "Resource": "*"}


@pytest.fixture(scope="module")
def strict(store):
    """The store as it checks keys, with users that may do all, or lack one right."""
    store.bucket("plants")
    users = {"all": store.user("all", ALL)}
    for action in ("s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
        users[action] = store.user(f"lacks-{action.partition(':')[2]}", ALL, deny(action))
    return store, users


@pytest.fixture
def checked(strict):
    """Check keys during the test."""
    store, users = strict
    store.enforce(True)
    yield store, users
    store.enforce(False)


@pytest.fixture
def connection(nothing_known, monkeypatch):
    """Make the connection `aws_default`: keys and whatever else stands in its extra."""

    def make(keys, url, *, conn_type="aws", conn_id="aws_default", **extra):
        fields = {
            "conn_type": conn_type,
            "login": keys.get("aws_access_key_id"),
            "password": keys.get("aws_secret_access_key"),
            "extra": {"region_name": REGION, "endpoint_url": url, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return make


@contextmanager
def refusal(error=LakeError, *, secrets=()):
    with pytest.raises(error) as caught:
        yield caught
    said = str(caught.value)
    assert said.startswith("lake s3://")
    assert "@" not in said.split(" ")[1]
    shown = "".join(traceback.format_exception(caught.value))  # with causes, as a task's log has it
    assert not [secret for secret in secrets if secret in shown]
    assert is_final(caught.value) == (error is LakeError)


def test_keys_that_may_do_all_that_the_documentation_names_are_enough(checked, connection):
    store, _ = checked
    store.enforce(False)
    store.bucket("my-bucket")
    policy = json.loads((EXAMPLES / "s3_policy.json").read_text())
    keys = store.user("enough", *policy["Statement"])
    store.enforce(True)
    connection(keys, store.url)
    lake = open_lake("s3://aws_default@my-bucket/lake")
    lake.check()
    with refusal():
        open_lake("s3://aws_default@my-bucket/other").check()
    load_objects(lake, "locus_sites", [{"id": 1}, {"id": 2}], complete=True, today=None)
    assert lake.read("locus_sites").num_rows == 2
    assert {request["key"] for request in store.requests()[-5:]} == {keys["aws_access_key_id"]}


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"])
def test_a_right_that_lacks_is_named(checked, connection, action):
    store, users = checked
    connection(users[action], store.url)
    with refusal(secrets=users[action].values()) as caught:
        open_lake("s3://aws_default@plants/lake").check()
    assert f"connection 'aws_default' may not do {action} there" in str(caught.value)
    assert "s3:DeleteObject on plants/lake/*" in str(caught.value)


def test_a_bucket_that_is_not_there_is_named(checked, connection):
    store, users = checked
    connection(users["all"], store.url)
    with refusal() as caught:
        open_lake("s3://aws_default@planst/lake").check()
    assert "there is no bucket 'planst'" in str(caught.value)


def test_a_name_that_no_bucket_can_have_is_refused_unasked(store, connection):
    connection({"aws_access_key_id": "a", "aws_secret_access_key": "b"}, store.url)
    asked = len(store.requests())
    with refusal() as caught:
        open_lake("s3://aws_default@Plants!/lake").check()
    assert "'Plants!' can't be a bucket" in str(caught.value)
    assert len(store.requests()) == asked


def test_an_unknown_key_id_and_a_wrong_secret_are_told_apart(checked, connection):
    store, users = checked
    good = users["all"]
    connection({**good, "aws_access_key_id": "AKIAUNKNOWN"}, store.url)
    with refusal(secrets=[good["aws_secret_access_key"]]) as caught:
        open_lake("s3://aws_default@plants/lake").check()
    assert "connection 'aws_default' are refused: the key id isn't known there" in str(caught.value)
    connection({**good, "aws_secret_access_key": "wrong-secret"}, store.url)
    with refusal(secrets=["wrong-secret"]) as caught:
        open_lake("s3://aws_default@plants/lake").check()
    assert "the secret doesn't belong to the key id" in str(caught.value)


def test_keys_of_the_environment_are_called_so(checked, nothing_known, monkeypatch):
    store, _ = checked
    for name, value in {**store.environment(), "AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}.items():
        monkeypatch.setenv(name, value)
    with refusal() as caught:
        open_lake("s3://plants/lake").check()
    assert "the environment's own keys are refused: the key id isn't known" in str(caught.value)


def test_no_keys_at_all_is_said_with_what_to_set(nothing_known):
    with refusal() as caught:
        open_lake("s3://plants/lake").check()
    assert "no keys were found" in str(caught.value)
    assert "s3://aws_default@plants/lake" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (None, "connection 'aws_default' is not defined: add it"),
        ({"conn_type": "http"}, "connection 'aws_default' isn't of the type 'aws'"),
        ({"extra": {"verify": False}}, "certificates are checked"),
        ({"extra": {"role_arn": "arn:x", "assume_role_method": "wish"}}, "assume_role_method='wish'"),
        (
            {"extra": {"role_arn": "arn:x", "assume_role_method": "assume_role_with_saml"}},
            "assume_role_with_saml",
        ),
        (
            {"extra": {"role_arn": "arn:aws:iam::1:role/x", **WEB_IDENTITY}},
            "No such file or directory: '***'",
        ),
        (
            {"extra": {"role_arn": "arn:x", **WEB_IDENTITY, "assume_role_with_web_identity_federation": "x"}},
            "federation",
        ),
        ({"extra": {"config_kwargs": {"signature_version": "unsigned"}}}, "signature_version"),
        ({"extra": {"profile_name": "nobody"}}, "nobody"),
        ({"extra": {"endpoint_url": "http://10.0.0.1:9000"}}, "has no TLS"),
        ({"extra": {"endpoint_url": "nonsense"}}, "allowed: https://host or https://host:port"),
        ({"extra": {"region_name": "Frankfurt am Main"}}, "allowed: lower-case letters"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named_with_what_is_wrong(
    nothing_known, monkeypatch, fields, said
):
    if fields is not None:
        keys = {"login": "a", "password": "hidden-secret"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", **keys, **fields}))
    with refusal(secrets=["hidden-secret"]) as caught:
        open_lake("s3://aws_default@plants/lake").check()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": "http://user:{}@127.0.0.1:1"},
        {"endpoint_url": "http://user:{}@10.0.0.1:9000"},
        {"endpoint_url": "http://user:{}@host:port"},
        {"endpoint_url": "http://user:{}@my_minio:9000"},
        {"endpoint_url": "http://127.0.0.1:1/?sig={}"},
        {"endpoint_url": "{}"},
        {"region_name": "{}"},
        {"region_name": "{}", "role_arn": "arn:x"},
        {"profile_name": "{}"},
        {"service_config": "{}"},
        {"service_config": {"s3": "{}"}},
        {"service_config": {"s3": {"endpoint_url": "http://user:{}@127.0.0.1:1"}}},
        {"service_config": {"sts": {"endpoint_url": "http://user:{}@my_minio:9000"}}, "role_arn": "arn:x"},
        {"service_config": {"sts": {"endpoint_url": "{}"}}, "role_arn": "arn:x"},
        {
            "service_config": {"sts": {"endpoint_url": "http://user:{}@127.0.0.1:1"}},
            "role_arn": "arn:aws:iam::1:role/x",
        },
        {"config_kwargs": ["{}"]},
        {"config_kwargs": {"s3": {"addressing_style": "{}"}}},
        {"role_arn": "arn:x", "assume_role_method": "{}"},
        {"role_arn": "arn:x", **WEB_IDENTITY, "assume_role_with_web_identity_federation": "{}"},
        {"role_arn": "arn:x", **WEB_IDENTITY, "assume_role_with_web_identity_token_file": "{}"},
        ["{}"],
        "{}",
    ],
)
def test_a_secret_that_was_put_into_the_wrong_field_is_not_shown(nothing_known, monkeypatch, caplog, extra):
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"
    fields = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(fields).replace("{}", secret))
    with refusal(secrets=[secret, secret[:8]]):
        open_lake("s3://aws_default@plants/lake").check()
    assert secret[:8] not in caplog.text


@pytest.mark.parametrize(
    "field",
    [
        "region_name", "endpoint_url", "profile_name", "aws_access_key_id", "aws_secret_access_key",
        "aws_session_token", "role_arn", "assume_role_method",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, [], 5, ["wrong-secret"], {"wrong-secret": "wrong-secret"}, True])
def test_a_field_that_is_no_text_is_named_and_not_shown(nothing_known, monkeypatch, field, value):
    for extra in (
        {field: value},
        {"session_kwargs": {field: value}},
        {"service_config": {"s3": {field: value}}},
    ):
        fields = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(fields))
        with refusal(secrets=["wrong-secret"]) as caught:
            open_lake("s3://aws_default@plants/lake").check()
        assert f"field {field} (in extra) of connection 'aws_default' can't be used" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("AWS_ACCESS_KEY_ID", "key id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session token"),
    ],
)
@pytest.mark.parametrize("blank", ["{}\n", " {}", "{}\x01", "{}\x9f{}"])
def test_a_key_of_the_environment_with_a_blank_is_named_and_not_shown(
    store, environment, monkeypatch, variable, named, blank
):
    hidden = "hidden-secret"
    monkeypatch.setenv(variable, blank.replace("{}", hidden))
    before = len(store.requests())
    with refusal(secrets=[hidden]) as caught:
        open_lake("s3://plants/lake").check()
    assert f"the environment's own keys can't be used: the {named} ({variable}, or " in str(caught.value)
    assert len(store.requests()) == before


@pytest.mark.parametrize("role", [{}, {"role_arn": "arn:aws:iam::123456789012:role/lake"}])
@pytest.mark.parametrize(
    ("field", "named"), [("login", "key id"), ("password", "secret"), ("aws_session_token", "session token")]
)
def test_a_key_of_a_connection_with_a_line_break_is_named_and_not_shown(
    store, nothing_known, monkeypatch, field, named, role
):
    fields = {"conn_type": "aws", "login": "a", "password": "b"}
    services = {name: {"endpoint_url": store.url} for name in ("s3", "sts")}
    extra = {"region_name": REGION, "service_config": services, **role}
    (extra if field == "aws_session_token" else fields)[field] = "hidden-secret\n"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**fields, "extra": extra}))
    before = len(store.requests())
    with refusal(secrets=["hidden-secret"]) as caught:
        open_lake("s3://aws_default@plants/lake").check()
    assert f"connection 'aws_default' can't be used: the {named} (" in str(caught.value)
    assert len(store.requests()) == before


@pytest.mark.parametrize("host", ["10.0.0.1", "my_minio"])
def test_a_login_in_the_environments_endpoint_is_not_shown(environment, monkeypatch, host):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:hidden-secret@{host}:9000")
    with refusal(secrets=["hidden-secret"]) as caught:
        open_lake("s3://plants/lake").check()
    assert "without user and password" in str(caught.value)


def test_what_must_be_installed_is_said(nothing_known, connection, monkeypatch):
    connection({}, "http://127.0.0.1:1")
    monkeypatch.setitem(__import__("sys").modules, "airflow.providers.amazon.aws.hooks.base_aws", None)
    with refusal() as caught:
        open_lake("s3://aws_default@plants/lake")
    assert "pip install 'airflow-provider-locus-stem[s3]'" in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with refusal() as caught:
        open_lake("s3://plants/lake").check()
    assert "pip install 'airflow-provider-locus-stem[s3]'" in str(caught.value)


def test_a_session_token_of_other_keys_is_not_sent_with_a_connections(store, bucket, connection, monkeypatch):
    """deltalake would take it from the environment."""
    connection({"aws_access_key_id": "a", "aws_secret_access_key": "b"}, store.url)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    before = len(store.requests())
    with refusal(secrets=["of-somebody-else"]) as caught:
        open_lake(f"s3://aws_default@{bucket}/lake").check()
    assert "AWS_SESSION_TOKEN is set in the environment" in str(caught.value)
    assert {request["token"] for request in store.requests()[before:]} <= {None}


class Elsewhere(BaseHTTPRequestHandler):
    """Answers as S3 does where a bucket lies in another region, or as a store that lacks conditional puts."""

    def do_GET(self):
        self._answer(200, b"<ListBucketResult/>")

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200, b"")

    def do_DELETE(self):
        self._answer(204, b"")

    def _answer(self, status, body):
        if self.server.code:
            status = self.server.status
            body = f"<Error><Code>{self.server.code}</Code><Message>m</Message></Error>".encode()
        self.send_response(status)
        if self.server.region:
            self.send_header("x-amz-bucket-region", self.server.region)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def elsewhere(code=None, status=200, region=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.code, server.status, server.region = code, status, region
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("code", "status"), [("PermanentRedirect", 301), ("AuthorizationHeaderMalformed", 400)]
)
def test_a_bucket_of_another_region_is_said_with_its_region(connection, code, status):
    with elsewhere(code, status, "ap-southeast-2") as url:
        connection({"aws_access_key_id": "a", "aws_secret_access_key": "b"}, url)
        with refusal() as caught:
            open_lake("s3://aws_default@plants/lake").check()
    assert f"the region {REGION} is wrong" in str(caught.value)
    assert "AWS_REGION=ap-southeast-2" in str(caught.value)


@pytest.mark.parametrize(("code", "status"), [(None, 200), ("NotImplemented", 501)])
def test_a_store_without_conditional_puts_is_refused(connection, code, status):
    with elsewhere(code, status) as url:
        connection({"aws_access_key_id": "a", "aws_secret_access_key": "b"}, url)
        with refusal() as caught:
            open_lake("s3://aws_default@plants/lake").check()
    assert "conditional puts (If-None-Match)" in str(caught.value)


def test_a_store_that_is_busy_is_asked_again_later(connection):
    with elsewhere("SlowDown", 503) as url:
        connection({"aws_access_key_id": "a", "aws_secret_access_key": "b"}, url)
        with refusal(LakeUnavailableError) as caught:
            open_lake("s3://aws_default@plants/lake").check()
    assert "SlowDown" in str(caught.value)


@pytest.mark.parametrize("listening", [False, True], ids=["refuses", "hangs"])
def test_an_endpoint_that_refuses_connections_or_hangs_is_given_up_soon(connection, monkeypatch, listening):
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listening:
            silent.listen(50)
        connection(
            {"aws_access_key_id": "a", "aws_secret_access_key": "b"},
            f"http://127.0.0.1:{silent.getsockname()[1]}",
        )
        began = time.monotonic()
        with refusal(LakeUnavailableError) as caught:
            open_lake("s3://aws_default@plants/lake").check()
    assert "doesn't answer" in str(caught.value)
    assert "endpoint_url" in str(caught.value)
    assert time.monotonic() - began < 30


@pytest.fixture(scope="module")
def sandbox():
    with Server(Fleet(sites=3), Options()) as running:
        yield running


def context():
    now = datetime.now(UTC)
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=1,
        get_first_reschedule_date=lambda _: None, xcom_push=lambda key, value: None,
    )  # fmt: skip
    dag_run = SimpleNamespace(
        dag_id="d", run_id="r", run_type="manual", start_date=now, run_after=now, data_interval_start=now
    )
    return {"ti": ti, "dag_run": dag_run, "params": {}, "outlet_events": OutletEventAccessors()}


@pytest.mark.parametrize(
    "operator",
    [
        LocusInventoryOperator,
        LocusPlanBackfillOperator,
        LocusPlanBulkOperator,
        LocusAlertSyncOperator,
        StemPlanStreamsOperator,
        LocusMaintainLakeOperator,
    ],
)
@pytest.mark.parametrize("wrong", ["bucket", "secret", "right", "connection"])
def test_no_task_asks_its_api_anything_before_its_lake_is_known_to_be_good(
    checked, connection, sandbox, monkeypatch, operator, wrong
):
    store, users = checked
    for conn_id, fields in sandbox_connections(sandbox.url).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    keys = users["s3:PutObject" if wrong == "right" else "all"]
    if wrong == "secret":
        keys = {**keys, "aws_secret_access_key": "wrong"}
    if wrong != "connection":
        connection(keys, store.url)
    bucket = "planst" if wrong == "bucket" else "plants"
    task = operator(task_id="t", lake_uri=f"s3://aws_default@{bucket}/lake")
    with pytest.raises(Exception, match=rf"lake s3://{bucket}/lake: ") as caught:
        task.execute(context())
    assert keys["aws_secret_access_key"] not in str(caught.value)
    assert len(sandbox.log) == 0
