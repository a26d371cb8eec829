from __future__ import annotations

import json
import string

import pytest
from airflow.providers.common.compat.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.errors import ConfigurationError
from locus_stem.hooks.connection import locus_credentials, stem_credentials
from locus_stem.hooks.locus import LocusHook

OAUTH = {"client_id": "id", "client_secret": "hush", "partner_id": 7}


def locus(extra: object = OAUTH, **fields: object) -> Connection:
    text = extra if isinstance(extra, str) else json.dumps(extra)
    return Connection(
        **{"conn_id": "plant", "conn_type": "locus", "login": "me", "password": "pw", "extra": text, **fields}
    )


def test_a_connection_without_host_asks_the_vendor_itself():
    credentials = locus_credentials(locus())
    assert credentials.host == "https://api.locusenergy.com"
    assert credentials.partner_id == 7
    assert credentials.timeout == 60


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ({"host": "https://example.com/"}, "https://example.com"),
        ({"host": "example.com"}, "https://example.com"),
        ({"host": "example.com", "port": 8443}, "https://example.com:8443"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8000}, "http://127.0.0.1:8000"),
        ({"host": "http://localhost:8000"}, "http://localhost:8000"),
    ],
)
def test_host_is_a_url_or_host_schema_and_port(fields, host):
    assert locus_credentials(locus(**fields)).host.rstrip("/") == host


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({**OAUTH, "partner_id": "seven"}, "partner_id"),
        ({**OAUTH, "partner_id": True}, "partner_id"),
        ({**OAUTH, "timeout": "soon"}, "timeout"),
        ({**OAUTH, "timeout": 0}, "timeout"),
        ({**OAUTH, "grant_type": "magic"}, "grant_type"),
        ({**OAUTH, "allow_http": "perhaps"}, "allow_http"),
        ({**OAUTH, "client_id": ["a"]}, "client_id"),
        ({**OAUTH, "client_secret": 5}, "client_secret"),
        ({"partner_id": 7, "client_secret": "hush"}, "client_id"),
        ({"partner_id": 7, "client_id": "id"}, "client_secret"),
    ],
)
def test_a_wrong_or_missing_field_is_named_with_its_connection(extra, named):
    with pytest.raises(ConfigurationError, match=rf"'plant'.*{named}") as caught:
        locus_credentials(locus(extra))
    assert "hush" not in str(caught.value)


#: No message holds one of these by chance.
PASTED = st.text(string.ascii_uppercase + string.digits + "+/=", min_size=12, max_size=40).map("S{}".format)
IN_EXTRA = ["grant_type", "client_id", "client_secret", "partner_id", "timeout", "allow_http"]


@given(
    secret=PASTED,
    field=st.sampled_from([*IN_EXTRA, "extra", "conn_type", "host", "schema"]),
    form=st.sampled_from([str, lambda text: [text], lambda text: {"a": text}, lambda text: {text: 1}]),
    read=st.sampled_from([locus_credentials, stem_credentials]),
)
def test_a_secret_in_whichever_field_is_in_no_error(secret, field, form, read):
    conn_type = "locus" if read is locus_credentials else "stem"
    extra = {**OAUTH, field: form(secret)} if field in IN_EXTRA else OAUTH
    fields = {"conn_type": conn_type, "host": "host", "extra": json.dumps(extra)}
    if field not in IN_EXTRA:
        fields[field] = secret
    try:
        read(Connection(conn_id="plant", login="me", password="pw", **fields))
    except ConfigurationError as error:
        assert secret not in str(error)  # noqa: PT017 - some fields take any text


def test_extra_that_is_no_json_is_named():
    with pytest.raises(ConfigurationError, match=r"'plant'.*extra"):
        locus_credentials(locus("{not json"))


def test_plain_http_to_another_machine_needs_allow_http():
    with pytest.raises(ConfigurationError, match="http"):
        locus_credentials(locus(host="http://example.com"))
    assert locus_credentials(locus({**OAUTH, "allow_http": "true"}, host="http://example.com")).allow_http


def test_bearer_takes_the_password_field_as_a_token():
    credentials = locus_credentials(locus({"grant_type": "bearer", "partner_id": "7"}, login=None))
    assert credentials.grant_type == "bearer"
    assert credentials.partner_id == 7


def test_stem_needs_its_api_key_in_the_password_field():
    with pytest.raises(ConfigurationError, match=r"'battery'.*password"):
        stem_credentials(Connection(conn_id="battery", conn_type="stem"))
    credentials = stem_credentials(Connection(conn_id="battery", conn_type="stem", password="key"))
    assert credentials.host == "https://app.stem.com"
    assert "key" not in repr(credentials).replace("api_key", "")


@pytest.mark.parametrize("text", ["{", '{"conn_type": "locus", "extra": "hush-hush'])
def test_a_variable_that_airflow_cannot_read_is_named_and_not_called_undefined(monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_CONN_PLANT", text)
    with pytest.raises(ConfigurationError, match="can't read AIRFLOW_CONN_PLANT") as caught:
        LocusHook("plant").credentials  # noqa: B018
    assert "hush" not in str(caught.value)
