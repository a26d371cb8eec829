"""From connections to lakes: what of Google's and Azure's is read, and that no DAG file looks a connection up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import redact

from locus_stem.hooks.lake import open_lake
from locus_stem.tables.address import LakeAddress
from locus_stem.tables.lake import LakeError, LakeUnavailableError
from locus_stem.tables.stores import OtherStore

ACCOUNT = "account.dfs.core.windows.net"
FILE = """
from airflow.providers.common.compat.sdk import BaseHook
from locus_stem.assets import table_asset
from locus_stem.dags import LocusAccount, StemAccount, account_dags

def refuse(conn_id):
    raise AssertionError(conn_id)

BaseHook.get_connection = refuse
dags = account_dags(LocusAccount("west"), StemAccount(lake_uri="s3://mine@bucket/stem"))
print(len(dags), table_asset("locus_sites", conn_id="west").uri)
"""


LINES = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC/first+line", "second/line+of/the/key", "end+of/it="]
PRIVATE = "\n".join(["-----BEGIN PRIVATE KEY-----", *LINES, "-----END PRIVATE KEY-----", ""])
KEY = {
    "type": "service_account",
    "client_email": "lake@plants.iam",
    "private_key": PRIVATE,
    "private_key_id": "id-of-the-key",
    "token_uri": "https://oauth2.googleapis.com/token",
}


class Failing:
    """A file system whose store says this."""

    def __init__(self, said):
        self.said = said

    def open_output_stream(self, _):
        raise OSError(self.said)


def shown(error):
    """Give all that a log shows of an error, before anything is masked."""
    return "".join(traceback.format_exception(error))


@pytest.fixture
def connection(monkeypatch):
    def make(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_CLOUD", json.dumps(fields))

    return make


def test_a_dag_file_looks_up_no_connection_of_a_lake():
    environment = {**os.environ, "AIRFLOW__LOCUS_STEM__LAKE_URI": "s3://keys@bucket/lake"}
    said = subprocess.run(
        [sys.executable, "-c", FILE], check=True, capture_output=True, text=True, env=environment
    )
    assert said.stdout.splitlines()[-1] == "7 s3://bucket/lake/west/locus_sites"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"login": "account", "password": "a2V5"}, {"azure_storage_account_key": "a2V5"}),
        ({"extra": {"shared_access_key": "a2V5"}}, {"azure_storage_account_key": "a2V5"}),
        (
            {"extra": {"sas_token": f"https://{ACCOUNT}/?sv=1&sig=x"}},
            {"azure_storage_sas_token": "sv=1&sig=x"},
        ),
        (
            {"login": "id", "password": "secret", "extra": {"tenant_id": "tenant"}},
            {
                "azure_storage_tenant_id": "tenant",
                "azure_storage_client_id": "id",
                "azure_storage_client_secret": "secret",
            },
        ),
    ],
)
@pytest.mark.parametrize("conn_type", ["wasb", "adls"])
def test_azures_keys_are_read_from_the_connection(connection, conn_type, fields, options):
    connection(conn_type=conn_type, **fields)
    lake = open_lake(f"abfss://cloud@container@{ACCOUNT}/lake")
    assert lake.uri == f"abfss://container@{ACCOUNT}/lake"
    address, given = lake.delta_address("runs")
    assert (address, given) == (f"{lake.uri}/runs", {"azure_storage_account_name": "account", **options})
    assert lake.filesystem()[1] == "container/lake"
    assert lake.filesystem()[0].type_name == "abfs"


@pytest.mark.parametrize(
    ("uri", "fields", "said"),
    [
        (f"abfss://cloud@c@{ACCOUNT}/l", {"conn_type": "aws"}, "isn't of the type 'wasb' or 'adls'"),
        (f"abfss://cloud@c@{ACCOUNT}/l", {"conn_type": "wasb"}, "lacks account_key"),
        (
            f"abfss://cloud@c@{ACCOUNT}/l",
            {"conn_type": "adls", "login": "id", "extra": {"tenant_id": "t"}},
            "lacks client_secret",
        ),
        ("gs://cloud@bucket/l", {"conn_type": "wasb"}, "isn't of the type 'google_cloud_platform'"),
        ("gs://cloud@bucket/l", {"conn_type": "google_cloud_platform"}, "neither keyfile_dict nor key_path"),
        (
            "gs://cloud@bucket/l",
            {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": "{nonsense"}},
            "field keyfile_dict (in extra) of connection 'cloud' can't be used",
        ),
        ("gs://nowhere@bucket/l", {}, "connection 'nowhere' is not defined"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said(connection, uri, fields, said):
    connection(**fields)
    with pytest.raises(LakeError, match=r"^lake (abfss|gs)://") as caught:
        open_lake(uri)
    assert said in str(caught.value)


def test_googles_package_is_named_where_it_lacks(connection, monkeypatch):
    connection(conn_type="google_cloud_platform", extra={"keyfile_dict": KEY})
    monkeypatch.setitem(sys.modules, "google.oauth2.service_account", None)
    with pytest.raises(LakeError, match="pip install apache-airflow-providers-google") as caught:
        open_lake("gs://cloud@bucket/l").check()
    assert not any(line in str(caught.value) for line in LINES)


@pytest.mark.parametrize("prefix", ["", "extra__google_cloud_platform__"])
def test_googles_key_is_read_from_the_connection(connection, prefix, tmp_path):
    for given in (KEY, json.dumps(KEY)):
        connection(conn_type="google_cloud_platform", extra={f"{prefix}keyfile_dict": given})
        options = open_lake("gs://cloud@bucket/l").delta_address("runs")[1]
        assert json.loads(options["google_service_account_key"]) == KEY
    path = tmp_path / "key.json"
    path.write_text(json.dumps(KEY))
    connection(conn_type="google_cloud_platform", extra={f"{prefix}key_path": str(path)})
    options = open_lake("gs://cloud@bucket/l").delta_address("runs")[1]
    assert options == {"google_service_account": str(path)}


@pytest.mark.parametrize("times", [1, 500])
def test_a_key_in_the_place_of_its_path_is_not_shown(connection, times):
    key = json.dumps({"private_key": "very-secret" * times})
    connection(conn_type="google_cloud_platform", extra={"key_path": key})
    with pytest.raises(LakeError, match="field key_path") as caught:
        open_lake("gs://cloud@bucket/l")
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        [PRIVATE],
        json.dumps([PRIVATE]),
        PRIVATE,
        5,
        {"private_key": PRIVATE},
        *({**KEY, name: wrong} for name in KEY if name != "type" for wrong in (5, "", [PRIVATE], None)),
    ],
)
@pytest.mark.parametrize("field", ["keyfile_dict", "key_path"])
def test_what_is_no_key_of_googles_is_refused_and_not_shown(connection, tmp_path, field, given):
    if field == "key_path":
        path, given = tmp_path / "key.json", given if isinstance(given, str) else json.dumps(given)
        path.write_text(given)
        given = str(path)
    connection(conn_type="google_cloud_platform", extra={field: given})
    with pytest.raises(
        LakeError, match=rf"field {field} \(in extra\) of connection 'cloud' can't be used"
    ) as caught:
        open_lake("gs://cloud@bucket/l")
    assert not any(line in shown(caught.value) for line in LINES)


@pytest.mark.parametrize("path", [["/key.json"], {"path": "/key.json"}, 5, True, "/", "/key\0.json"])
def test_a_path_that_is_none_is_refused(connection, path):
    connection(conn_type="google_cloud_platform", extra={"key_path": path})
    with pytest.raises(LakeError, match=r"field key_path .* is no file that this machine can read"):
        open_lake("gs://cloud@bucket/l")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\\n"])
@pytest.mark.parametrize("given", ["object", "text", "file"])
def test_googles_private_key_is_masked_whole_and_line_by_line(connection, tmp_path, given, ends):
    lines = [f"{line}{given}{ends!r}" for line in LINES]
    key = {
        **KEY,
        "private_key": ends.join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"]),
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    field = "key_path" if given == "file" else "keyfile_dict"
    value = {"object": key, "text": json.dumps(key), "file": str(path)}[given]
    connection(conn_type="google_cloud_platform", extra={field: value})
    open_lake("gs://cloud@bucket/l")
    told = (*lines, key["private_key"], json.dumps(key), json.dumps(json.dumps(key)), repr(key))
    assert [one for text in told for one in lines if one in redact(f"it is {text}")] == []


class GoogleAuthError(Exception):
    """The first of google-auth's errors."""

    retryable = False


class RefreshError(GoogleAuthError):
    """A key is refused."""


class BusyError(RefreshError):
    """As google-auth tells a server's error."""

    retryable = True


class TransportError(GoogleAuthError):
    """Nothing answers."""


@pytest.fixture
def google(monkeypatch):
    """Let google-auth be one whose tokens end in this error."""

    def make(error):
        def refuse(*_, **__):
            raise error

        credentials = SimpleNamespace(from_service_account_info=refuse)
        for name, parts in {
            "auth.exceptions": {"GoogleAuthError": GoogleAuthError, "TransportError": TransportError},
            "auth.transport.requests": {"Request": object},
            "oauth2.service_account": {"Credentials": credentials},
        }.items():
            monkeypatch.setitem(sys.modules, f"google.{name}", SimpleNamespace(**parts))

    return make


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        (RefreshError, LakeError),
        (GoogleAuthError, LakeError),
        (ValueError, LakeError),
        (TransportError, LakeUnavailableError),
        (BusyError, LakeUnavailableError),
    ],
)
@pytest.mark.parametrize("act", [lambda lake: lake.check(), lambda lake: lake.filesystem()])
def test_why_google_gives_no_token_is_said_without_the_key(connection, google, act, kind, meant):
    connection(conn_type="google_cloud_platform", extra={"keyfile_dict": KEY})
    google(kind(f"Invalid credentials: {PRIVATE}", {"error": PRIVATE, "line": LINES[1]}))
    with pytest.raises(
        meant, match=r"^lake gs://bucket/l: .*connection 'cloud'.* \(.*Invalid credentials"
    ) as caught:
        act(open_lake("gs://cloud@bucket/l"))
    assert not any(line in shown(caught.value) for line in LINES)


@pytest.mark.parametrize("said", ["403 Forbidden", "connection reset"])
def test_what_a_store_quotes_of_its_keys_is_not_shown(said):
    store = OtherStore(
        LakeAddress.parse(f"abfss://c@{ACCOUNT}/l"),
        lambda: {"azure_storage_sas_token": "very-secret"},
        lambda: Failing(f"{said}: SharedAccessSignature=very-secret"),
    )
    with pytest.raises((LakeError, LakeUnavailableError), match=said) as caught:
        store.check()
    assert "very-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "key", ["very-secret key!!", "dmVyeS1zZWNyZXQ", "dmVyeS1zZWNyZXQ=\n", "dmVyeS1zZWNyZXR=", "kéy"]
)
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("password", lambda key: {"password": key}),
        (r"shared_access_key \(in extra\)", lambda key: {"extra": {"shared_access_key": key}}),
    ],
)
def test_a_key_of_azures_that_is_no_base64_is_refused_by_its_fields_name(connection, field, fields, key):
    connection(conn_type="wasb", **fields(key))
    with pytest.raises(LakeError, match=f"field {field} of connection 'cloud' can't be used") as caught:
        open_lake(f"abfss://cloud@c@{ACCOUNT}/l")
    assert key not in str(caught.value)


ODD = "abfss://no-such@nosuchaccount.dfs.core.windows.net/not found/x forbidden"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (ODD, "Could not resolve hostname nosuchaccount.blob.core.windows.net"),
        (
            ODD,
            "PUT https://nosuchaccount.blob.core.windows.net/no-such/not%20found/x%20forbidden/.probe failed",
        ),
        ("gs://my_credentials/invalid", "POST /b/my_credentials/o?name=invalid%2F.probe: reset by peer"),
        ("gs://invalid/a/invalid", "'invalid/a/invalid/.probe': time-out"),
    ],
)
def test_names_in_an_address_dont_make_a_failure_final(uri, said):
    with pytest.raises(LakeUnavailableError):
        OtherStore(LakeAddress.parse(uri), dict, lambda: Failing(said)).check()
    with pytest.raises(LakeError):
        OtherStore(LakeAddress.parse(uri), dict, lambda: Failing(f"{said}: 403 Forbidden")).check()
