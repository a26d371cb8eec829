from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from locus_stem.api import ConfigurationError, LocusClient, LocusCredentials, StemClient, StemCredentials

FULL = LocusCredentials(
    username="u",
    password="p-secret",
    client_id="i",
    client_secret="c-secret",
    label="connection 'locus_default'",
)
STEM = StemCredentials(api_key="k-secret", label="connection 'stem_default'")


def test_repr_shows_no_secret() -> None:
    assert "secret" not in repr(FULL).replace("client_secret", "")
    assert "p-secret" not in repr(FULL)
    assert "k-secret" not in repr(STEM)


@pytest.mark.parametrize(
    ("changes", "grant"),
    [({}, "password"), ({"username": None}, "client_credentials"), ({"grant_type": "bearer"}, "bearer")],
)
def test_the_grant_is_password_where_there_is_a_login(changes: dict[str, Any], grant: str) -> None:
    assert replace(FULL, **changes).grant == grant


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": ""}, "field password is missing; grant_type password requires it"),
        ({"client_id": None}, "field client_id is missing"),
        ({"client_secret": None}, "field client_secret is missing"),
        ({"grant_type": "password", "username": None}, "field login is missing"),
        ({"grant_type": "bearer", "password": None}, "field password is missing; grant_type bearer"),
        ({"grant_type": "bearer", "password": "a b"}, "field password holds a space"),
        ({"grant_type": "bearer", "password": "schlüssel"}, "field password holds"),
        (
            {"grant_type": "magic"},
            "field grant_type can't be used; allowed: password, client_credentials, bearer",
        ),
        ({"partner_id": 0}, "field partner_id can't be used; allowed: a whole number above 0"),
        ({"timeout": 0}, "field timeout can't be used; allowed: seconds"),
        ({"timeout": float("inf")}, "field timeout can't be used"),
        ({"host": "api.locusenergy.com"}, "field host is not a URL"),
        ({"host": "ftp://api.locusenergy.com"}, "field host is not a URL"),
        ({"host": "https://"}, "field host is not a URL"),
        ({"host": "https://a b"}, "field host is not a URL"),
        ({"host": "https://a:99999"}, "field host is not a URL"),
        ({"host": "https://user:hidden@host"}, "field host holds a user or password"),
        ({"host": "https://host/?key=hidden"}, "field host holds a query"),
        ({"host": "http://api.locusenergy.com"}, "field host is plain http"),
        ({"host": "http://127.0.0.1.evil.example"}, "field host is plain http"),
    ],
)
def test_a_wrong_field_is_named_with_its_connection_before_anything_is_sent(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^connection 'locus_default': {message}") as caught:
        LocusClient(replace(FULL, **changes))
    assert "hidden" not in str(caught.value)
    assert "-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:80",
        "https://gateway/locus/",
    ],
)
def test_loopback_may_be_plain_and_a_host_may_have_a_path(host: str) -> None:
    assert replace(FULL, host=host).validate().host == host


def test_plain_http_can_be_allowed() -> None:
    credentials = replace(FULL, host="http://intranet", allow_http=True)
    assert credentials.validate() is credentials


@pytest.mark.parametrize(
    ("key", "problem"), [(None, "is missing"), ("", "is missing"), ("a\nb", "holds a space")]
)
def test_an_api_key_that_is_none_is_refused(key: str | None, problem: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"connection 'stem_default': field password \(the API key\) {problem}"
    ):
        StemClient(replace(STEM, api_key=key))
