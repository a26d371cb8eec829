"""Whichever way the keys come, both engines send the same, and nothing else shows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.log import redact

from locus_stem.hooks.lake import open_lake
from locus_stem.tables.lake import LakeError
from locus_stem.tables.maintenance import tables_of
from locus_stem.tables.objects import load_objects
from locus_stem.tables.staging import Staging, remove_staging
from support.object_store import KEYS, REGION

ROLE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}


@pytest.fixture
def role(store):
    made = store.client("iam").create_role(RoleName="lake", AssumeRolePolicyDocument=json.dumps(ROLE))
    yield made["Role"]["Arn"]
    store.client("iam").delete_role(RoleName="lake")


@pytest.fixture
def connection(nothing_known, monkeypatch):
    def make(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", **fields}))

    return make


@pytest.fixture
def used(store, bucket):
    """Use a lake with everything that reaches a store; give the keys and tokens that were sent, once each."""

    def use(conn_id=None):
        began = len(store.requests())
        lake = open_lake(f"s3://{conn_id}@{bucket}/lake" if conn_id else f"s3://{bucket}/lake")
        assert lake.uri == f"s3://{bucket}/lake"
        lake.check()
        load_objects(lake, "locus_sites", [{"id": 1, "name": "a"}], complete=True, today=None)
        assert lake.dataset(lake.open("locus_sites"), "locus_sites").count_rows() == 1
        sent = [request for request in store.requests()[began:] if request["path"].startswith(f"/{bucket}")]
        assert len(sent) > 10
        return {(request["key"], request["token"]) for request in sent}

    return use


def masked(secret):
    """Whether Airflow's logs would hide it."""
    return secret not in redact(f"it is {secret}")


PLAIN = (KEYS["aws_access_key_id"], None)


def test_variables_of_the_environment(environment, used):
    assert used() == {PLAIN}
    assert masked(KEYS["aws_secret_access_key"])


def test_variables_with_a_session_token(environment, used, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-session")
    assert used() == {(KEYS["aws_access_key_id"], "token-of-the-session")}
    assert masked("token-of-the-session")


def test_a_profile_with_its_region_and_endpoint(store, nothing_known, used, monkeypatch, tmp_path):
    (tmp_path / "config").write_text(
        f"[profile plants]\nregion = {REGION}\nservices = here\n[services here]\ns3 =\n  endpoint_url = {store.url}\n"
    )
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
        "[plants]\naws_access_key_id = of-the-profile\naws_secret_access_key = secret-of-the-profile\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "plants")
    assert used() == {("of-the-profile", None)}


def test_a_web_identity(store, nothing_known, used, role, monkeypatch, tmp_path):
    """As pods have it: deltalake's own chain and pyarrow's know it by other rules."""
    (tmp_path / "token").write_text("identity")
    for name, value in {
        "AWS_ROLE_ARN": role,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ENDPOINT_URL": store.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    ((key, token),) = used()
    assert key.startswith("ASIA")
    assert token
    assert masked(token)


def test_a_process_that_gives_out_keys(store, nothing_known, used, monkeypatch, tmp_path):
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    keys = {
        "Version": 1,
        "AccessKeyId": "given",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": until,
    }
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "config").write_text(
        f"[default]\nregion = {REGION}\ncredential_process = cat {tmp_path / 'keys.json'}\nendpoint_url = {store.url}\n"
    )
    assert used() == {("given", "t")}


def test_a_connections_keys_and_not_the_environments(store, environment, connection, used, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    connection(
        login="of-the-connection",
        password="secret-of-the-connection",
        extra={"endpoint_url": store.url, "region_name": REGION},
    )
    assert used("aws_default") == {("of-the-connection", None)}
    assert masked("secret-of-the-connection")


def test_a_connections_session_token_and_endpoint_of_s3_alone(store, connection, used):
    connection(
        extra={
            "aws_access_key_id": "temporary",
            "aws_secret_access_key": "secret",
            "aws_session_token": "token-of-the-connection",
            "region_name": REGION,
            "service_config": {"s3": {"endpoint_url": store.url}},
        }
    )
    assert used("aws_default") == {("temporary", "token-of-the-connection")}


def test_a_connections_role(store, connection, used, role):
    connection(
        login="of-the-connection",
        password="secret-of-the-connection",
        extra={
            "role_arn": role,
            "region_name": REGION,
            "service_config": {name: {"endpoint_url": store.url} for name in ("s3", "sts")},
        },
    )
    ((key, token),) = used("aws_default")
    assert key.startswith("ASIA")
    assert masked(token)


def test_keys_that_end_are_renewed_while_the_lake_is_used(store, nothing_known, bucket, tmp_path):
    """botocore asks anew when less than ten minutes are left: the next time that a table is opened."""

    def give_out(key, minutes):
        until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        keys = {
            "Version": 1,
            "AccessKeyId": key,
            "SecretAccessKey": "s",
            "SessionToken": key,
            "Expiration": until,
        }
        (tmp_path / "keys.json").write_text(json.dumps(keys))

    (tmp_path / "config").write_text(
        f"[default]\nregion = {REGION}\ncredential_process = cat {tmp_path / 'keys.json'}\nendpoint_url = {store.url}\n"
    )
    give_out("first", 5)
    lake = open_lake(f"s3://{bucket}/lake")
    load_objects(lake, "locus_sites", [{"id": 1}], complete=True, today=None)
    give_out("second", 60)
    began = len(store.requests())
    load_objects(lake, "locus_sites", [{"id": 1}, {"id": 2}], complete=True, today=None)
    assert lake.filesystem()[0].get_file_info(f"{bucket}/lake/locus_sites").is_file is False
    assert {(sent["key"], sent["token"]) for sent in store.requests()[began:]} == {("second", "second")}


def test_pyarrows_connections_are_kept_as_long_as_the_keys(store, environment, bucket):
    lake = open_lake(f"s3://{bucket}/lake")
    assert lake.filesystem()[0] is lake.filesystem()[0]


def test_a_bucket_in_the_host_name(store, environment, bucket, used, monkeypatch):
    """Of a name that needs no name server: any host below localhost is this machine."""
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url.replace("127.0.0.1", "localhost"))
    options = open_lake(f"s3://{bucket}/lake").delta_address("runs")[1]
    assert options["aws_endpoint_url"] == store.url.replace("http://127.0.0.1", f"http://{bucket}.localhost")
    assert options["aws_virtual_hosted_style_request"] == "true"


def test_amazons_own_endpoint_needs_a_region_alone(environment, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    store = open_lake("s3://plants/lake").store
    assert store.delta_options()["aws_endpoint_url"] == "https://s3.eu-central-1.amazonaws.com"
    assert store.delta_options()["aws_allow_http"] == "false"
    assert store.filesystem().region == "eu-central-1"


def test_plain_http_beyond_loopback_is_for_who_allows_it(connection, monkeypatch):
    keys = {"login": "a", "password": "b"}
    extra = {"endpoint_url": "http://store.plants:9000", "region_name": REGION}
    connection(**keys, extra=extra)
    with pytest.raises(LakeError, match="has no TLS"):
        open_lake("s3://aws_default@plants/lake").delta_address("runs")
    connection(**keys, extra={**extra, "allow_http": True})
    by_connection = open_lake("s3://aws_default@plants/lake").delta_address("runs")[1]
    connection(**keys, extra=extra)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    by_environment = open_lake("s3://aws_default@plants/lake").delta_address("runs")[1]
    assert by_connection == by_environment
    assert by_connection["aws_endpoint_url"] == "http://store.plants:9000"
    assert by_connection["aws_allow_http"] == "true"


def test_a_lake_may_be_a_whole_bucket(store, environment, bucket):
    lake = open_lake(f"s3://{bucket}/")
    lake.check()
    assert store.keys(bucket) == []
    load_objects(lake, "locus_sites", [{"id": 1}], complete=True, today=None)
    staging = Staging(lake, "plan")
    staging.write_json("plan.json", {"a": 1})
    assert Staging.at(open_lake(f"s3://{bucket}"), staging.uri).read_json("plan.json") == {"a": 1}
    remove_staging(lake, "plan")
    assert tables_of(lake) == ["locus_sites"]
    assert not [key for key in store.keys(bucket, "_staging/") if not key.endswith("/")]
