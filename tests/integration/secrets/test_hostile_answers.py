"""Servers that give secrets back in every way: no error, traceback, pickle or object of the package shows a piece."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import traceback
import types

import pytest

from locus_stem.api import (
    AsyncLocusClient,
    AsyncStemClient,
    LocusClient,
    LocusCredentials,
    LocusEndpoints,
    StemClient,
    StemEndpoints,
)
from locus_stem.api.errors import (
    ApiError,
    ConfigurationError,
    RedirectedError,
    TransportError,
)
from support.echoing import BEHAVIOURS

KINDS = ("password", "client", "bearer", "stem")


def ask(mode, credentials, told=lambda _: None):
    """Send one call, once; give its error."""
    is_locus = isinstance(credentials, LocusCredentials)
    call = (
        LocusEndpoints.get_site.request(site_id=1)
        if is_locus
        else StemEndpoints.get_site.request(site_id="a")
    )
    options = {"budget_seconds": 0.0, "on_token": told}

    def now():
        with (LocusClient if is_locus else StemClient)(credentials, **options) as client:
            client.call(call)

    async def later():
        async with (AsyncLocusClient if is_locus else AsyncStemClient)(credentials, **options) as client:
            await client.call(call)

    with pytest.raises(ApiError) as caught:
        now() if mode == "sync" else asyncio.run(later())
    return caught.value


def shown(error):
    """Give all that an error and its causes can show, the frames' variables included."""
    texts = []
    while error is not None:
        own = traceback.TracebackException.from_exception(error, capture_locals=True)
        texts += ["".join(own.format(chain=False)), str(error), repr(error), repr(vars(error))]
        texts.append(pickle.dumps(error).decode("latin-1"))
        error = error.__cause__ or error.__context__
    # the test's own frames hold the fixture's secrets, in objects whose repr hides them
    return "\n".join(texts)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("where", ["login", "data"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_error_shows_a_piece_of_a_secret_that_the_server_gives_back(
    hostile, trap, secrets, credentials, caplog, mode, where, kind
):
    caplog.set_level(logging.DEBUG, "locus_stem")
    asks_for_token = where == "login" and kind in {"password", "client"}
    for behaviour in BEHAVIOURS:
        if behaviour == "no-token" and not asks_for_token:
            continue  # an object like any other
        hostile.posts.clear()
        error = ask(mode, credentials(kind, f"{hostile.url}/{where}/{behaviour}"))
        assert secrets.in_text(repr(hostile.posts)), "the server was sent no secret"
        assert secrets.in_text(shown(error)) == [], behaviour
        if "-" in behaviour and behaviour.partition("-")[2] in {"host", "scheme"}:
            assert isinstance(error, RedirectedError), error
    assert trap.connections == 0
    assert secrets.in_text(caplog.text) == []


def test_the_search_finds_what_an_error_gives_away(secrets):
    hidden = secrets.new()
    for error in (ValueError(hidden), ApiError(f"it said {hidden[:20]}"), KeyError(hidden.encode())):
        assert secrets.in_text(shown(error))

    def fails(held):
        raise RuntimeError("nothing is said")

    with pytest.raises(RuntimeError) as caught:
        fails(hidden)
    assert secrets.in_text(shown(caught.value))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_server_that_holds_the_api_gets_no_further_request_after_a_redirect(
    hostile, trap, credentials, mode
):
    for status in ("moved", "found", "temporary", "permanent"):
        for target in ("host", "scheme"):
            hostile.requests.clear()
            ask(mode, credentials("password", f"{hostile.url}/data/{status}-{target}"))
            assert [line.split()[0] for line in hostile.requests] == ["POST", "GET"]
            hostile.requests.clear()
            ask(mode, credentials("password", f"{hostile.url}/login/{status}-{target}"))
            assert len(hostile.requests) == 1
    assert trap.connections == 0


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_told_before_the_server_can_give_it_back(hostile, secrets, credentials, mode, kind):
    told = []

    async def tell_async(token):
        await asyncio.sleep(0)
        told.append(token)

    ask(mode, credentials(kind, f"{hostile.url}/data/forbids"), told.append if mode == "sync" else tell_async)
    issued = [canary.value for canary in secrets.canaries if canary.value in told]
    assert len(issued) == len(told) == (2 if kind in {"password", "client"} else 0)
    if told:
        (headers, _) = hostile.posts[-1]
        assert headers["Authorization"] == f"Bearer {told[0]}"


def objects_of_the_package():
    for item in gc.get_objects():
        # not isinstance, which asks an object for its class: Airflow's lazy modules would import themselves
        if issubclass(type(item), type | types.FunctionType | types.ModuleType):
            continue
        if (type(item).__module__ or "").startswith("locus_stem"):
            yield item


@pytest.mark.parametrize("kind", KINDS)
def test_no_object_of_the_package_shows_a_secret(hostile, secrets, credentials, kind):
    others = {
        id(item): item for item in objects_of_the_package()
    }  # what other tests have left in this process
    given = credentials(kind, f"{hostile.url}/data/forbids")
    is_locus = isinstance(given, LocusCredentials)
    call = (
        LocusEndpoints.get_site.request(site_id=1)
        if is_locus
        else StemEndpoints.get_site.request(site_id="a")
    )
    with (LocusClient if is_locus else StemClient)(given, budget_seconds=0.0) as client:
        exchange = client.begin(call)
        flow = exchange.received()
        action = next(flow)
        with pytest.raises(ApiError):
            client.call(call)
        mine = [item for item in objects_of_the_package() if id(item) not in others]
        shown = [(type(item).__qualname__, repr(item)) for item in mine]
        assert {type(item).__qualname__ for item in (given, client, action)} <= {name for name, _ in shown}
        assert {name for name, text in shown if secrets.in_text(text)} == set()
        assert secrets.in_text(f"{given!r} {given} {client!r} {exchange!r} {action!r} {vars(client)!r}") == []


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_proxys_login_that_it_gives_back_is_in_no_error(hostile, secrets, credentials, monkeypatch, mode):
    from urllib.parse import quote

    password = secrets.new()
    monkeypatch.setenv("https_proxy", f"http://me:{quote(password, safe='')}@127.0.0.1:{hostile.server_port}")
    monkeypatch.setenv("http_proxy", f"http://me:{quote(password, safe='')}@127.0.0.1:{hostile.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    for host in ("https://api.example", "http://127.0.0.1:1"):
        hostile.requests.clear()
        error = ask(mode, credentials("password", host))
        assert hostile.requests
        assert secrets.in_text(shown(error)) == []


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    "proxy",
    ["ftp://me:{}@proxy", "http://me:{}/x@proxy:1", "me:{}@:3128", "http://me:{}@proxy:no", "//{}"],
)
def test_a_proxy_that_is_none_is_refused_without_its_text(secrets, credentials, monkeypatch, mode, proxy):
    monkeypatch.setenv("https_proxy", proxy.format(secrets.token()))
    monkeypatch.delenv("no_proxy", raising=False)
    kind = LocusClient if mode == "sync" else AsyncLocusClient
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        kind(credentials("password", "https://api.example"))
    assert secrets.in_text(str(caught.value)) == []


class TestTls:
    """A certificate that nobody has signed."""

    @pytest.mark.parametrize("mode", ["sync", "async"])
    @pytest.mark.parametrize("kind", ["password", "stem"])
    @pytest.mark.parametrize(
        "environment",
        [
            {},
            {"PYTHONHTTPSVERIFY": "0"},
            {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""},
            {"SSL_VERIFY": "false", "HTTPX_SSL_VERIFY": "0", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
        ],
        ids=lambda environment: ",".join(environment) or "nothing set",
    )
    def test_is_refused_whatever_the_environment_says(
        self, tls, credentials, monkeypatch, mode, kind, environment
    ):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        error = ask(mode, credentials(kind, f"https://localhost:{tls.server_port}/data/refuses"))
        assert isinstance(error, TransportError)
        assert "certificate verify failed" in str(error)
        assert tls.requests == []

    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_is_taken_where_ssl_cert_file_names_it_and_only_for_its_own_name(
        self, tls, credentials, certificate, monkeypatch, mode
    ):
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        error = ask(mode, credentials("password", f"https://localhost:{tls.server_port}/data/forbids"))
        assert error.status == 403
        tls.requests.clear()
        error = ask(mode, credentials("password", f"https://127.0.0.2:{tls.server_port}/data/forbids"))
        assert isinstance(error, TransportError)
        assert tls.requests == []

    def test_credentials_have_no_field_that_would_take_it(self):
        from dataclasses import fields

        names = {item.name for kind in (LocusCredentials,) for item in fields(kind)}
        assert not {name for name in names if "verify" in name or "ssl" in name or "tls" in name}
