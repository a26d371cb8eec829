"""Every request and answer that the Locus reference shows: exactly that is sent, exactly that given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from locus_stem.api import (
    LOCUS_ENDPOINTS,
    LocusClient,
    LocusCredentials,
    LocusEndpoints,
    RateLimitedError,
)

EXAMPLES = json.loads((Path(__file__).parent / "locus_examples.json").read_text("utf-8"))
BEARER = LocusCredentials(grant_type="bearer", password="ACCESS_TOKEN")


def title(example: dict[str, Any]) -> str:
    request = example.get("request")
    return f"{example['endpoint']}-{request['path']}?{request['query']}" if request else example["endpoint"]


def held(response: dict[str, Any]) -> Any:
    """What a reader of the reference calls the result: the list, else the object, without status codes."""
    left = {key: value for key, value in response.items() if key != "statusCode"}
    values = list(left.values())
    if len(values) == 1 and isinstance(values[0], list):
        return [{key: value for key, value in item.items() if key != "statusCode"} for item in values[0]]
    return left


@pytest.mark.parametrize("example", EXAMPLES["calls"], ids=title)
def test_the_example_request_is_sent_and_the_example_answer_given(example: dict[str, Any]) -> None:
    sent: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=example["response"])

    with LocusClient(BEARER, transport=httpx.MockTransport(serve)) as client:
        payload = getattr(client, example["endpoint"])(**example["arguments"])

    (request,) = sent
    expected = example["request"]
    path, _, query = request.url.raw_path.decode().partition("?")
    assert request.method == "GET"
    assert (request.url.scheme, request.url.host, path) == ("https", expected["host"], expected["path"])
    assert sorted(query.split("&")) == sorted(expected["query"].split("&"))
    for name, value in expected["headers"].items():
        assert request.headers[name] == value
    assert payload == held(example["response"])


@pytest.mark.parametrize("example", EXAMPLES["objects"], ids=title)
def test_the_example_object_is_given_as_it_stands(example: dict[str, Any]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=example["response"]))
    with LocusClient(BEARER, transport=transport) as client:
        assert getattr(client, example["endpoint"])(**example["arguments"]) == held(example["response"])


@pytest.mark.parametrize("example", EXAMPLES["tokens"], ids=lambda example: example["form"]["grant_type"])
def test_a_token_is_asked_for_as_the_example_does(example: dict[str, Any]) -> None:
    form = example["form"]
    first = {"access_token": "first", "refresh_token": "REFRESH_TOKEN", "expires_in": 3600}
    tokens = [first, example["response"]] if form["grant_type"] == "refresh_token" else [example["response"]]
    asked: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path != example["path"]:
            good = request.headers["Authorization"] == f"Bearer {example['response']['access_token']}"
            return httpx.Response(200 if good else 401, json={"statusCode": 200 if good else 401, "id": 1})
        asked.append(request)
        return httpx.Response(200, json=tokens[len(asked) - 1])

    credentials = LocusCredentials(
        username=form.get("username", "USERNAME" if form["grant_type"] == "refresh_token" else None),
        password=form.get("password", "PASSWORD"),
        client_id=form["client_id"],
        client_secret=form["client_secret"],
    )
    with LocusClient(credentials, transport=httpx.MockTransport(serve)) as client:
        assert client.get_site(site_id=1) == {"id": 1}

    request = asked[-1]
    assert request.method == "POST"
    assert str(request.url) == "https://api.locusenergy.com/oauth/token"
    assert request.headers["Content-Type"] == example["headers"]["Content-Type"]
    assert dict(parse_qsl(request.content.decode(), strict_parsing=True)) == form


def test_the_example_token_object_is_a_token() -> None:
    token = EXAMPLES["token_object"]
    seen: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json=token)
        return httpx.Response(200, json={"statusCode": 200, "authorized": request.headers["Authorization"]})

    credentials = LocusCredentials(username="u", password="p", client_id="i", client_secret="s")
    with LocusClient(credentials, transport=httpx.MockTransport(serve), on_token=seen.append) as client:
        assert client.get_site(1) == {"authorized": f"Bearer {token['access_token']}"}
    assert seen == [token["access_token"], token["refresh_token"]]


@pytest.mark.parametrize("status", [429, 200])
def test_the_example_refusal_of_too_many_requests_is_known_by_status_and_by_body(status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=EXAMPLES["rate_limited"]))
    client = LocusClient(BEARER, transport=transport, budget_seconds=0)
    with client, pytest.raises(RateLimitedError, match="Too many requests") as caught:
        client.get_site(site_id=1)
    assert caught.value.status == 429


def test_every_endpoint_has_an_example_and_the_name_of_its_page() -> None:
    assert {example["endpoint"] for example in EXAMPLES["calls"]} == {one.name for one in LOCUS_ENDPOINTS}
    assert len(LOCUS_ENDPOINTS) == 20
    for endpoint in LOCUS_ENDPOINTS:
        assert endpoint.reference.rpartition("/")[2].replace("-", "_") == endpoint.name
        assert getattr(LocusEndpoints, endpoint.name) is endpoint
