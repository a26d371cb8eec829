"""What Airflow's logs can show once a connection was read: nothing of it, however it is written."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import pickle
from base64 import b64encode
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
import requests
from airflow.providers.common.compat.sdk import redact

from locus_stem.api import AuthenticationError, ConfigurationError
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.masking import TELLING, WORDY, mask
from locus_stem.hooks.stem import StemHook
from locus_stem.hooks.webhook import Webhook
from locus_stem.pipelines.webhook_reply import Verdict
from locus_stem.triggers.locus import LocusAlertTrigger
from support.canaries import ASCII, IN_A_URL, LATIN

WAYS = (
    str,
    quote,
    quote_plus,
    html.escape,
    lambda text: json.dumps({"said": text}),
    lambda text: json.dumps({"said": text}, ensure_ascii=False),
    lambda text: repr({"said": text}),
    lambda text: repr(text.encode()),
)


@pytest.fixture
def connect(monkeypatch):
    def define(conn_id, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define


def logged(texts):
    """Give what Airflow's logs would show of texts, in every way of writing them."""
    return "\n".join(str(redact(way(text))) for text in texts for way in WAYS)


def basic(user, password, encoding="utf-8"):
    return b64encode(f"{user}:{password}".encode(encoding)).decode()


@pytest.mark.parametrize("kind", ["hook", "trigger"])
def test_login_key_and_tokens_of_a_locus_connection_are_masked(connect, hostile, secrets, kind):
    password, key = secrets.new(), secrets.new()
    assert secrets.in_text(logged([password, key])), "masked before anybody knew them"
    extra = {"client_id": "app", "client_secret": key, "partner_id": 1}
    host = f"{hostile.url}/data/forbids"
    connect("plant", conn_type="locus", host=host, login="solar", password=password, extra=extra)
    if kind == "hook":
        assert LocusHook("plant").test_connection()[0] is False
    else:
        trigger = LocusAlertTrigger(
            conn_id="plant",
            poke_interval=1,
            errors_for=0,
            since=datetime.now(UTC).isoformat(),
            state="opened",
        )
        (event,) = asyncio.run(fired(trigger))
        assert event.payload["status"] == "failed"
        assert "HTTP 403" in event.payload["message"]
        assert secrets.in_text(pickle.dumps(event.payload)) == []
    held = [password, key, basic("solar", password), basic("app", key)]
    tokens = [canary.value for canary in secrets.canaries if canary.value not in held]
    assert len(tokens) == 2
    assert secrets.in_text(logged([*held, *tokens])) == []


async def fired(trigger):
    return [event async for event in trigger.run()]


def test_the_key_of_a_stem_connection_is_masked_and_its_test_shows_no_piece(connect, hostile, secrets):
    key = secrets.token()
    connect("battery", conn_type="stem", host=f"{hostile.url}/data/refuses", password=key)
    ok, said = StemHook("battery").test_connection()
    assert not ok
    assert "connection 'battery' is refused" in said
    assert secrets.in_text(said) == []
    assert secrets.in_text(logged([key])) == []


def test_the_proxys_password_is_masked(connect, hostile, secrets, monkeypatch):
    password = secrets.new()
    connect("battery", conn_type="stem", host="https://api.example", password="k")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{quote(password, safe='')}@127.0.0.1:{hostile.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert StemHook("battery").credentials.api_key == "k"
    assert secrets.in_text(logged([password, basic("me", password)])) == []


@pytest.fixture
def webhook(connect, hostile, secrets):
    """Make a webhook's connection full of secrets."""

    def make(behaviour="login/refuses", **changes):
        known = {
            "password": secrets.new(LATIN),
            "header": secrets.new(LATIN),
            "path": secrets.new(IN_A_URL),
            "query": secrets.new(IN_A_URL),
        }
        host = f"{hostile.url}/{behaviour}/{known['path']}?sig={known['query']}"
        extra = {"X-Sender": f"Key {known['header']}", "Accept": "application/json", "timeout": 2}
        fields = {"conn_type": "http", "host": host, "login": "tickets", "password": known["password"]}
        fields["extra"] = extra
        connect("tickets", **{**fields, **changes})
        return Webhook("tickets"), known

    return make


def test_all_that_a_webhooks_connection_holds_is_masked_but_what_tells_nothing(webhook, secrets):
    hook, known = webhook()
    with hook.check():
        reply = hook.post(b"{}", "key")
    assert reply.verdict is Verdict.WRONG
    assert secrets.in_text(repr(reply)) == []
    encoded = [basic("tickets", known["password"], code) for code in ("utf-8", "latin-1")]
    shown = requests.Request("POST", hook._hook.url_from_endpoint(None)).prepare()
    assert secrets.in_text(logged([known["password"], known["header"], *encoded])) == []
    assert secrets.in_text(str(redact(f'"POST {shown.path_url} HTTP/1.1" 401 to {shown.url}'))) == []
    assert redact("Accept: application/json") == "Accept: application/json"


@pytest.mark.parametrize("status", ["moved", "found", "temporary", "permanent"])
@pytest.mark.parametrize("target", ["host", "scheme"])
def test_a_webhooks_redirect_is_not_followed(webhook, hostile, trap, status, target):
    extra = {"allow_redirects": True, "max_redirects": 5}
    hook, _ = webhook(f"login/{status}-{target}", extra=extra)
    with hook.check():
        assert "a redirect, which is not followed" in hook.post(b"{}", "key").reason
    assert len(hostile.requests) == 1
    assert trap.connections == 0


def test_a_webhooks_certificate_is_verified_unless_its_own_connection_says_otherwise(
    webhook, tls, secrets, monkeypatch
):
    host = f"https://localhost:{tls.server_port}/login/refuses"
    for environment in ({}, {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "PYTHONHTTPSVERIFY": "0"}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        hook, _ = webhook(host=host)
        with hook.check():
            reply = hook.post(b"{}", "key")
        assert reply.reason == "no TLS connection: its certificate or protocol is refused"
    assert tls.requests == []
    hook, _ = webhook(host=host, extra={"verify": False})
    with hook.check(), pytest.warns(match="Unverified HTTPS"):
        assert hook.post(b"{}", "key").reason == "HTTP 401"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "{}€"}, "password"),
        ({"login": "{}€"}, "login"),
        ({"extra": {"X-Key": "{}€"}}, "X-Key"),
        ({"extra": {"X-Key": "{}\r\nHost: elsewhere"}}, "X-Key"),
        ({"extra": {"X-Key": {"a": "{}"}}}, "X-Key"),
        ({"extra": ["{}"]}, "extra"),
        ({"host": "http://[{}"}, "host"),
        ({"host": "http://me:{}@host:port/"}, "host"),
        ({"host": "ftp://{}"}, "host"),
        (
            {"extra": {"proxies": {"https": "ftp://me:{}@proxy"}}},
            "webhook connection '.*': a proxy of field proxies",
        ),
        (
            {"extra": {"proxy": {"https": "http://me:{}@proxy:port"}}},
            "webhook connection '.*': a proxy of field proxy ",
        ),
        ({"extra": {"proxies": "http://me:{}@proxy"}}, "field proxies"),
        ({"extra": {"proxies": ["{}"]}}, "field proxies"),
        ({"extra": {"timeout": "{}"}}, "timeout"),
        ({"extra": {"timeout": ["{}"]}}, "timeout"),
        ({"conn_type": "{}"}, "isn't of the type 'http'"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_the_name_of_its_field(webhook, secrets, hostile, changes, field):
    hidden = secrets.new(ASCII)
    written = json.loads(json.dumps(changes).replace("{}", json.dumps(hidden)[1:-1]))
    hook, _ = webhook(**written)
    with pytest.raises(ConfigurationError, match=field) as caught:
        hook.check()
    assert secrets.in_text(str(caught.value)) == []
    assert hostile.requests == []


def test_a_password_within_a_webhooks_address_is_masked_too(webhook, hostile, secrets):
    password = secrets.new(LATIN)
    address = f"http://me:{quote(password, safe='')}@127.0.0.1:{hostile.server_port}/login/refuses"
    hook, _ = webhook(host=address, login=None, password=None)
    with hook.check():
        assert hook.post(b"{}", "key").reason == "HTTP 401"
    sent = hostile.posts[-1][0]["Authorization"].removeprefix("Basic ")
    assert secrets.in_text(logged([password, sent])) == []


def test_a_refused_login_names_the_connection_and_shows_no_piece(connect, hostile, secrets):
    extra = {"client_id": "app", "client_secret": secrets.new(), "partner_id": 1}
    host = f"{hostile.url}/login/refuses"
    connect("plant", conn_type="locus", host=host, login="solar", password=secrets.new(), extra=extra)
    with pytest.raises(AuthenticationError, match=r"HTTP 401: .*\*\*\*.*connection 'plant'") as caught:
        LocusHook("plant").get_site(site_id=1)
    assert secrets.in_text(str(caught.value)) == []


@pytest.mark.parametrize("behaviour", ["login/refuses", "data/forbids", "login/statusline", "data/encoding"])
def test_libraries_log_no_secret_where_a_process_prints_what_airflow_does_not_mask(
    connect, webhook, hostile, secrets, caplog, monkeypatch, behaviour
):
    caplog.set_level(logging.DEBUG)
    for name in (*TELLING, *WORDY):  # whatever other tests have made of them
        caplog.set_level(logging.DEBUG, name)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    extra = {"client_id": "app", "client_secret": secrets.new(), "partner_id": 1}
    host = f"{hostile.url}/{behaviour}"
    connect("plant", conn_type="locus", host=host, login="solar", password=secrets.new(), extra=extra)
    monkeypatch.setattr("locus_stem.hooks.locus.TEST_SECONDS", 1)
    assert LocusHook("plant").test_connection()[0] is False
    posted, _ = webhook(behaviour)
    with posted.check():
        posted.post(b"{}", "key")
    assert "receive_response_headers." in caplog.text
    assert '"POST ***?*** HTTP/1.1"' in caplog.text or behaviour == "login/statusline"
    assert secrets.in_text(caplog.text) == []


def test_a_library_that_logs_an_exception_shows_it_without_secrets(connect, secrets, caplog):
    key = secrets.token()
    connect("battery", conn_type="stem", password=key)
    assert StemHook("battery").credentials.api_key == key
    failed = ValueError(f"no header: {key}")
    logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers", exc_info=failed)
    mask("t")
    logging.getLogger("urllib3.connectionpool").warning("Starting")
    assert "ValueError: no header: ***" in caplog.text
    assert "Starting" in caplog.text
    assert secrets.in_text(caplog.text) == []
