"""Every request and answer that the Stem user guide shows; its JSON is written there with single quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from locus_stem.api import STEM_ENDPOINTS, StemClient, StemCredentials, StemStreamUnavailable

EXAMPLES = json.loads((Path(__file__).parent / "stem_examples.json").read_text("utf-8"))
CREDENTIALS = StemCredentials(api_key="your-api-key-here")


@pytest.mark.parametrize("example", EXAMPLES["calls"], ids=lambda example: example["endpoint"])
def test_the_example_request_is_sent_and_the_example_answer_given(example: dict[str, Any]) -> None:
    sent: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=example["response"])

    with StemClient(CREDENTIALS, transport=httpx.MockTransport(serve)) as client:
        payload = getattr(client, example["endpoint"])(**example["arguments"])

    (request,) = sent
    expected = example["request"]
    path, _, query = request.url.raw_path.decode().partition("?")
    assert (request.method, request.url.scheme, request.url.host) == ("GET", "https", expected["host"])
    assert (path, query) == (expected["path"], expected["query"])
    assert request.headers["Authorization"] == expected["headers"]["Authorization"]
    key = example["payload_key"]
    assert payload == (example["response"][key] if key else example["response"])


def test_the_example_refusal_says_that_the_stream_is_unavailable_not_that_the_request_is_bad() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(400, json=EXAMPLES["unavailable"]))
    with (
        StemClient(CREDENTIALS, transport=transport) as client,
        pytest.raises(StemStreamUnavailable) as caught,
    ):
        client.get_site_streams("white_house", start="2014-12-31T00:00:00Z", end="2015-01-01T00:00:00Z")
    assert caught.value.stream_type == "INTERVAL_REVENUE"


def test_every_endpoint_has_an_example() -> None:
    assert {example["endpoint"] for example in EXAMPLES["calls"]} == {one.name for one in STEM_ENDPOINTS}
    assert len(STEM_ENDPOINTS) == 5
