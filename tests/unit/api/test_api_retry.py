from __future__ import annotations

import gzip
import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from locus_stem.api import (
    BadRequestError,
    LocusEndpoints,
    MalformedAnswerError,
    NotFoundError,
    OversizedAnswerError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    ServerError,
    TransportError,
)
from locus_stem.api.retry import FIRST_BACKOFF, GRACE, Retries

SITE = LocusEndpoints.get_site.request(site_id=1)
SITES = LocusEndpoints.get_partner_sites.request(partner_id=1)

FAULTS: dict[str, tuple[Any, type[Exception]]] = {
    "429": (lambda _: httpx.Response(429), RateLimitedError),
    "429 in a 200 body": (lambda _: httpx.Response(200, json={"statusCode": 429}), RateLimitedError),
    "408": (lambda _: httpx.Response(408), TransportError),
    "500": (lambda _: httpx.Response(500, text="<html>"), ServerError),
    "503": (lambda _: httpx.Response(503), ServerError),
    "500 in a 200 body": (lambda _: httpx.Response(200, json={"statusCode": "500"}), ServerError),
    "reset": (httpx.ReadError("reset"), TransportError),
    "no connection": (httpx.ConnectError("refused"), TransportError),
    "hang": (httpx.ReadTimeout("slow"), TransportError),
    "cut off": (httpx.RemoteProtocolError("incomplete"), TransportError),
    "empty": (lambda _: httpx.Response(200), MalformedAnswerError),
    "blank": (lambda _: httpx.Response(200, content=b" \n"), MalformedAnswerError),
    "no content": (lambda _: httpx.Response(204), MalformedAnswerError),
    "half a body": (lambda _: httpx.Response(200, content=b'{"id": 1, "na'), MalformedAnswerError),
    "no utf-8": (lambda _: httpx.Response(200, content=b'{"name": "\xff\xfe"}'), MalformedAnswerError),
    "html": (lambda _: httpx.Response(200, html="<p>maintenance</p>"), MalformedAnswerError),
    "a list": (lambda _: httpx.Response(200, content=b"[]"), MalformedAnswerError),
    "NaN": (lambda _: httpx.Response(200, content=b'{"id": NaN}'), MalformedAnswerError),
    "Infinity": (lambda _: httpx.Response(200, content=b'{"id": [-Infinity]}'), MalformedAnswerError),
    "deep nesting": (lambda _: httpx.Response(200, content=b"[" * 100_000), MalformedAnswerError),
    "odd statusCode": (lambda _: httpx.Response(200, json={"statusCode": [1]}), MalformedAnswerError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_same_request_is_sent_again(asker: Any, api: Any, clock: Any, fault: str) -> None:
    api.steps.extend([FAULTS[fault][0], FAULTS[fault][0]])
    assert asker.use().ask(SITE) == {"id": 1}
    assert [request.url.raw_path for request in api.sent] == [b"/v3/sites/1"] * 3
    assert len(clock.waits) == 2
    assert asker.client.metrics.snapshot().retries == 2
    assert asker.client.metrics.snapshot().requests == 4


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_ends_with_its_error_at_the_end_of_300_seconds(
    asker: Any, api: Any, clock: Any, fault: str
) -> None:
    api.steps.extend([FAULTS[fault][0]] * 1000)
    began = clock.now
    with pytest.raises(FAULTS[fault][1], match=r"^/v3/sites/1: .*\(failed \d+ times in \d+ s\)\. \w"):
        asker.use().ask(SITE)
    assert 200 < clock.now - began <= 300
    assert 10 < len(api.sent) < 200


@pytest.mark.parametrize("body", [{"statusCode": 200}, {"sites": None}, {"sites": {}}, {"sites": [1]}])
def test_an_answer_of_another_shape_is_asked_for_again(asker: Any, api: Any, body: Any) -> None:
    api.steps.extend([httpx.Response(200, json=body), httpx.Response(200, json={"sites": [{"id": 5}]})])
    assert asker.use().ask(SITES) == [{"id": 5}]


def test_the_budget_counts_the_time_in_requests_too(asker: Any, api: Any, clock: Any) -> None:
    api.seconds = 60.0
    api.steps.extend([httpx.ReadTimeout("slow")] * 100)
    with pytest.raises(TransportError, match="no whole answer within 60 s"):
        asker.use().ask(SITE)
    assert 3 <= len(api.sent) <= 5
    assert sum(clock.waits) < 60


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, BadRequestError),
        (302, RedirectedError),
    ],
)
@pytest.mark.parametrize("in_body", [False, True], ids=["status", "statusCode in a 200 body"])
def test_a_refusal_is_final_for_its_call_and_carries_path_and_message(
    asker: Any, api: Any, clock: Any, status: int, error: type[Exception], in_body: bool
) -> None:
    body = {"statusCode": status, "message": "no\n  such   thing"}
    api.steps.append(httpx.Response(200 if in_body else status, json=body))
    with pytest.raises(error, match=rf"^/v3/sites/1: HTTP {status}: no such thing") as caught:
        asker.use().ask(SITE)
    assert caught.value.path == "/v3/sites/1"  # type: ignore[attr-defined]
    assert caught.value.status == status  # type: ignore[attr-defined]
    assert len(api.sent) == 1
    assert clock.waits == []


def test_a_redirect_is_not_followed_and_names_only_the_host_it_leads_to(asker: Any, api: Any) -> None:
    api.steps.append(
        httpx.Response(301, headers={"Location": "https://user:pw@elsewhere.example/login?token=abc"})
    )
    with pytest.raises(RedirectedError) as caught:
        asker.use().ask(SITE)
    assert "redirected to elsewhere.example." in str(caught.value)
    assert "pw" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert len(api.sent) == 1


def test_a_long_message_is_cut_after_its_secrets_are_taken_out(asker: Any, api: Any, refused: Any) -> None:
    api.steps.append(refused(400, "x" * 196 + "s3cret" + "y" * 500))
    with pytest.raises(BadRequestError) as caught:
        asker.use().ask(SITE)
    assert f"HTTP 400: {'x' * 196}***y…" in str(caught.value)
    assert "s3c" not in str(caught.value)


def test_the_message_of_a_compressed_or_plain_refusal_is_read(asker: Any, api: Any) -> None:
    packed = httpx.Response(
        400,
        headers={"Content-Encoding": "gzip"},
        stream=httpx.ByteStream(gzip.compress(b'{"message": "packed"}')),
    )
    api.steps.extend(
        [packed, httpx.Response(403, text="plainly no"), httpx.Response(404, html="<b>gone</b>")]
    )
    asker.use()
    with pytest.raises(BadRequestError, match="HTTP 400: packed"):
        asker.ask(SITE)
    with pytest.raises(PermissionDeniedError, match="HTTP 403: plainly no"):
        asker.ask(SITE)
    with pytest.raises(NotFoundError, match=r"HTTP 404\. "):
        asker.ask(SITE)


@pytest.mark.parametrize("asked", ["7", " 7 ", "7.0"])
def test_retry_after_in_seconds_is_kept_to(
    asker: Any, api: Any, clock: Any, refused: Any, asked: str
) -> None:
    api.steps.append(refused(429, Retry_After=asked))
    asker.use().ask(SITE)
    assert clock.waits == [7.0]


def test_retry_after_as_a_date_counts_by_the_servers_clock(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    theirs = datetime(2001, 1, 1, tzinfo=UTC)
    until = format_datetime(theirs + timedelta(seconds=42), usegmt=True)
    api.steps.append(refused(503, Retry_After=until, Date=format_datetime(theirs, usegmt=True)))
    asker.use().ask(SITE)
    assert clock.waits == [42.0]


@pytest.mark.parametrize("asked", ["", "soon", "-5", "nan", "inf", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_a_retry_after_that_tells_nothing_leaves_the_backoff(
    asker: Any, api: Any, clock: Any, refused: Any, asked: str
) -> None:
    api.steps.append(refused(429, Retry_After=asked))
    assert asker.use().ask(SITE) == {"id": 1}
    assert len(clock.waits) == 1
    assert 0 <= clock.waits[0] <= FIRST_BACKOFF


def test_the_longest_wait_in_one_piece_is_120_seconds(asker: Any, api: Any, clock: Any, refused: Any) -> None:
    api.steps.extend([refused(429, Retry_After="120"), refused(429, Retry_After="121")])
    with pytest.raises(RateLimitedError, match="the API asks to wait 121 s") as caught:
        asker.use().ask(SITE)
    assert caught.value.retry_after == 121
    assert clock.waits == [120.0]


def test_a_retry_after_beyond_what_is_left_of_the_budget_ends_at_once(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    api.steps.extend([refused(429, Retry_After="100") for _ in range(5)])
    with pytest.raises(RateLimitedError) as caught:
        asker.use().ask(SITE)
    assert clock.waits == [100.0, 100.0]
    assert caught.value.retry_after == 100


def test_backoff_is_spread_from_nothing_to_a_bound_that_doubles_up_to_30_seconds() -> None:
    bounds: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    retries = Retries(300.0, lambda: 0.0, highest)
    for _ in range(11):
        retries.wait_after(ServerError("x"))
    assert bounds == [(0.0, bound) for bound in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30)]


def test_a_request_that_was_given_up_on_is_not_sent_again_at_once(asker: Any, api: Any, clock: Any) -> None:
    api.steps.extend([httpx.ReadTimeout("slow"), httpx.ReadTimeout("slow")])
    api.token_steps.append(httpx.ReadTimeout("slow"))
    assert asker.use().ask(SITE) == {"id": 1}
    assert len(clock.waits) == 3
    assert min(clock.waits) >= GRACE


def test_a_fault_that_is_over_at_once_costs_a_tenth_of_a_second_at_most(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    api.steps.append(refused(503))
    assert asker.use().ask(SITE) == {"id": 1}
    assert len(clock.waits) == 1
    assert clock.waits[0] <= FIRST_BACKOFF == 0.1


def test_waits_differ_from_client_to_client() -> None:
    first, second = (Retries(300.0, lambda: 0.0) for _ in range(2))
    assert [first.wait_after(ServerError("x")) for _ in range(4)] != [
        second.wait_after(ServerError("x")) for _ in range(4)
    ]


def test_the_budget_begins_with_the_first_sending(clock: Any) -> None:
    retries = Retries(10.0, clock, lambda _, high: high)
    clock.pass_time(1000)
    retries.begin()
    clock.pass_time(9)
    retries.begin()
    assert retries.wait_after(ServerError("x")) == FIRST_BACKOFF
    clock.pass_time(0.95)
    with pytest.raises(ServerError):
        retries.wait_after(ServerError("x"))


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_beyond_the_limit_is_not_asked_for_again(asker: Any, api: Any, packed: bool) -> None:
    body = b'{"name": "' + b"a" * 5000 + b'"}'
    if packed:
        answer = httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(body))
        )
    else:
        answer = httpx.Response(200, content=body)
    api.steps.append(answer)
    with pytest.raises(OversizedAnswerError, match="longer than 4000 bytes"):
        asker.use(max_body_bytes=4000).ask(SITE)
    assert len(api.sent) == 1


def test_each_try_of_a_call_goes_out_with_the_token_of_that_time(asker: Any, api: Any, refused: Any) -> None:
    steps = itertools.chain([refused(503), refused(401), refused(503), refused(401)])
    api.steps.extend(steps)
    asker.use().ask(SITE)
    assert api.authorizations == ["Bearer T1", "Bearer T1", "Bearer T2", "Bearer T2", "Bearer T3"]


def test_a_body_that_takes_too_long_is_left_whatever_the_transport(asker: Any, api: Any, clock: Any) -> None:
    class Slow(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Any:
            for _ in range(10):
                clock.pass_time(10)
                yield b" "

        async def __aiter__(self) -> Any:
            for piece in self:
                yield piece

    api.steps.append(httpx.Response(200, stream=Slow()))
    began = clock.now
    with pytest.raises(TransportError, match="no whole answer within 60 s"):
        asker.use(budget_seconds=0).ask(SITE)
    assert clock.now - began == 70


def test_a_failure_of_the_transport_that_has_no_name_is_tried_again(asker: Any, api: Any) -> None:
    api.steps.extend([httpx.ProxyError("proxy said s3cret"), httpx.LocalProtocolError("x")])
    assert asker.use().ask(SITE) == {"id": 1}
    assert asker.client.metrics.snapshot().by_status["failed"] == 2
    api.steps.append(httpx.ProxyError("proxy said s3cret"))
    with pytest.raises(TransportError, match=r"failed: proxy said \*\*\*"):
        asker.use(budget_seconds=0).ask(SITE)


@pytest.mark.parametrize("body", [b'["no"]', b'{"errors": ["no"]}', gzip.compress(b" " * 9000)])
def test_a_refusal_without_a_message_that_can_be_read_says_its_status(
    asker: Any, api: Any, body: bytes
) -> None:
    headers = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f") else {}
    api.steps.append(httpx.Response(403, headers=headers, stream=httpx.ByteStream(body)))
    with pytest.raises(PermissionDeniedError, match=r"^/v3/sites/1: HTTP 403\. Check the id"):
        asker.use(max_body_bytes=5000).ask(SITE)
