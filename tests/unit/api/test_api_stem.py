from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from locus_stem.api import (
    BadRequestError,
    MalformedAnswerError,
    NotFoundError,
    RefusedError,
    ServerError,
    StemCredentials,
    StemEndpoints,
    StemNoData,
    StemNoResults,
    StemStreamUnavailable,
)
from locus_stem.api.answer import Reader
from locus_stem.api.stem import Paging
from locus_stem.api.wire import RawAnswer

NOW = datetime(2025, 10, 27, tzinfo=UTC)
KEY = StemCredentials(api_key="key")
STREAMS = StemEndpoints.get_site_streams.request(
    site_id="a", start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00Z"
)
CLIENTS = StemEndpoints.get_clients.request(per_page=2)


def refused(status: int, *messages: str) -> httpx.Response:
    return httpx.Response(
        status, json={"errors": [{"message": message, "code": status} for message in messages]}
    )


def page(*ids: str, number: Any = 1, total: Any = "many") -> httpx.Response:
    return httpx.Response(200, json={"clients": [{"id": one} for one in ids], "total": total, "page": number})


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "No data found for the requested range.", StemNoData),
        (400, "There is no stream data available", StemNoData),
        (
            400,
            "The requested stream type - MONITOR is unavailable for the requested site.",
            StemStreamUnavailable,
        ),
        (400, "No results found", StemNoData),
        (400, "No records found", StemNoData),
        (400, "No streams found", StemNoData),
        (400, "Data not available for the requested time range", StemNoData),
        (
            400,
            "Bad Request: No data found for site Cold Storage 2 between 2024-01-01 and 2024-01-02",
            StemNoData,
        ),
        (400, "There are no records for the selected period!", StemNoData),
        (400, "No data access: this account may not read the site", BadRequestError),
        (400, "Bad request: no data type 'MONITORX'", BadRequestError),
        (400, "no streams parameter was given", BadRequestError),
        (400, "end_datetime: no results window given", BadRequestError),
        (400, "Site has no data plan", BadRequestError),
        (400, "Parameter data not found: resolution", BadRequestError),
        (400, "No stream data for resolution 901, allowed: 900", BadRequestError),
        (400, "No data found; resolution must be 900", BadRequestError),
        (400, "resolution must be 900", BadRequestError),
        (400, "no such data type", BadRequestError),
        (400, "no stream type was given", BadRequestError),
        (404, "Site not found", NotFoundError),
        (404, "No data", NotFoundError),
        (404, "No results found", NotFoundError),
    ],
)
@pytest.mark.parametrize("in_body", [False, True], ids=["status", "error in a 200 body"])
def test_a_400_that_only_says_that_there_is_nothing_is_no_bad_request(
    asker: Any, api: Any, status: int, message: str, error: type[RefusedError], in_body: bool
) -> None:
    answer = refused(status, message)
    api.steps.append(httpx.Response(200, content=answer.content) if in_body else answer)
    with pytest.raises(RefusedError, match=message) as caught:
        asker.use(KEY).ask(STREAMS)
    assert type(caught.value) is error
    assert caught.value.status == status
    assert len(api.sent) == 1


UNREADABLE = (
    httpx.Response(400, content=b'{"errors": [{"code": 400, "message": "No d\xc3(\xff'),
    httpx.Response(400, content=b""),
    httpx.Response(400, content=b"<html>Bad Request</html>", headers={"content-type": "text/html"}),
)


@pytest.mark.parametrize("garbled", UNREADABLE, ids=["garbled", "empty", "HTML"])
@pytest.mark.parametrize(
    ("call", "message", "error"),
    [
        (STREAMS, "No data found", StemNoData),
        (STREAMS, "The requested stream type - CONVERTER is unavailable", StemStreamUnavailable),
        (CLIENTS, "No results found", StemNoResults),
    ],
)
def test_a_400_that_cannot_be_read_is_asked_for_again(
    asker: Any, api: Any, call: Any, message: str, error: type[RefusedError], garbled: httpx.Response
) -> None:
    """It may say that there is nothing, or that one of the streams isn't there: the site isn't refused by it."""
    api.steps.extend([garbled, refused(400, message)])
    with pytest.raises(error):
        asker.use(KEY).ask(call)
    assert len(api.sent) == 2


def test_a_400_that_can_never_be_read_ends_as_an_answer_that_is_none(asker: Any, api: Any) -> None:
    api.steps.append(UNREADABLE[0])
    with pytest.raises(MalformedAnswerError, match="HTTP 400, and its reason can't be read"):
        asker.use(KEY, budget_seconds=0).ask(STREAMS)


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_status_that_tells_by_itself_needs_no_message(asker: Any, api: Any, status: int) -> None:
    api.steps.append(httpx.Response(status, content=b"\xff"))
    with pytest.raises(RefusedError, match=f"HTTP {status}"):
        asker.use(KEY).ask(STREAMS)
    assert len(api.sent) == 1


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (
            "The requested stream type - INTERVAL_REVENUE is unavailable for the requested site.",
            "INTERVAL_REVENUE",
        ),
        ("stream types are unavailable", None),
    ],
)
def test_an_unavailable_stream_is_named(asker: Any, api: Any, message: str, named: str | None) -> None:
    api.steps.append(refused(400, message))
    with pytest.raises(StemStreamUnavailable) as caught:
        asker.use(KEY).ask(STREAMS)
    assert caught.value.stream_type == named


def test_a_500_in_an_error_payload_is_tried_again(asker: Any, api: Any) -> None:
    api.steps.extend([httpx.Response(200, content=refused(500, "oops").content), refused(500, "oops")])
    api.steps.append(httpx.Response(200, json={"id": "a", "stream_types": []}))
    assert asker.use(KEY).ask(STREAMS) == []
    api.steps.append(refused(500, "No results found"))
    with pytest.raises(ServerError):
        asker.use(KEY, budget_seconds=0).ask(STREAMS)


def test_pages_end_with_a_short_one(asker: Any, api: Any) -> None:
    api.steps.extend([page("a", "b"), page("c", "d", number="2"), page("e", number="three")])
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a", "b", "c", "d", "e"]
    assert [request.url.query for request in api.sent] == [
        b"per_page=2",
        b"page=2&per_page=2",
        b"page=3&per_page=2",
    ]


@pytest.mark.parametrize("status", [400, 404])
def test_pages_end_where_there_are_no_results(asker: Any, api: Any, status: int) -> None:
    api.steps.extend([page("a", "b"), refused(status, "No results found")])
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a", "b"]
    assert len(api.sent) == 2


@pytest.mark.parametrize("status", [400, 404])
def test_no_results_of_a_list_are_no_bad_request(asker: Any, api: Any, status: int) -> None:
    api.steps.append(refused(status, "No results found."))
    with pytest.raises(StemNoResults):
        asker.use(KEY).ask(CLIENTS)


def test_a_refusal_of_a_page_that_says_more_than_that_there_are_no_results_ends_no_list(
    asker: Any, api: Any
) -> None:
    api.steps.extend([page("a", "b"), refused(400, "No results found: the account may not read this page")])
    with pytest.raises(BadRequestError):
        asker.use(KEY).pages(CLIENTS)


def test_no_results_on_the_first_page_are_an_empty_list(asker: Any, api: Any) -> None:
    api.steps.append(refused(404, "No results found"))
    assert asker.use(KEY).pages(CLIENTS) == []


def test_an_id_on_two_pages_is_given_once(asker: Any, api: Any) -> None:
    api.steps.extend([page("a", "b"), page("b", "c"), page()])
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a", "b", "c"]


def test_an_api_that_gives_the_same_page_for_ever_is_left(asker: Any, api: Any) -> None:
    api.steps.extend([page("a", "b") for _ in range(9)])
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a", "b"]
    assert len(api.sent) == 2


def test_without_per_page_a_page_of_100_is_full(asker: Any, api: Any) -> None:
    call = StemEndpoints.get_client_sites.request(client_id="Acme / West", name="depot")
    full = {"sites": [{"id": str(number)} for number in range(100)]}
    api.steps.extend([httpx.Response(200, json=full), httpx.Response(200, json={"sites": []})])
    assert len(asker.use(KEY).pages(call)) == 100
    path = b"/api/v1/clients/Acme%20%2F%20West/sites"
    assert [request.url.raw_path for request in api.sent] == [
        path + b"?name=depot&per_page=100",
        path + b"?name=depot&page=2&per_page=100",
    ]


@pytest.mark.parametrize("total", [3, "3"])
def test_a_short_page_is_no_end_where_its_total_tells_of_more(asker: Any, api: Any, total: Any) -> None:
    api.steps.extend([page("a", total=total), page("b", total=total), page("c", total=total)])
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a", "b", "c"]
    assert len(api.sent) == 3


@pytest.mark.parametrize("total", [None, True, "many", -1, 1, 2.5, "9" * 10_000, [3]])
def test_a_total_that_tells_nothing_is_not_followed(asker: Any, api: Any, total: Any) -> None:
    api.steps.append(page("a", total=total))
    assert [item["id"] for item in asker.use(KEY).pages(CLIENTS)] == ["a"]
    assert len(api.sent) == 1


@pytest.mark.parametrize("last", [page(total=9), refused(400, "No results found"), page("a", "b", total=9)])
def test_a_list_that_stays_below_its_total_ends_and_is_not_whole(last: httpx.Response) -> None:
    reader, paging = Reader(str), Paging(CLIENTS)
    for number, answered in enumerate((page("a", "b", total=9), page("c", total=9), last)):
        assert paging.call is not None, number
        sent = RawAnswer(answered.status_code, {}, answered.content, NOW, 0.0)
        paging.take(reader.answer(sent, paging.call) if answered.status_code == 200 else None)
    assert paging.call is None
    assert not paging.is_whole


def test_a_list_that_begins_later_counts_the_pages_before(asker: Any, api: Any) -> None:
    api.steps.append(page("e", number=3, total=5))
    call = StemEndpoints.get_clients.request(page=3, per_page=2)
    assert [item["id"] for item in asker.use(KEY).pages(call)] == ["e"]


def test_a_list_that_takes_too_much_is_given_up(asker: Any, api: Any) -> None:
    text = "x" * 2**20
    fat = ({"clients": [{"id": f"{n}{side}", "name": text} for side in "ab"]} for n in range(20))
    api.steps.extend(httpx.Response(200, json=one) for one in fat)
    with pytest.raises(MalformedAnswerError, match="gone on past 32 MiB"):
        asker.use(KEY).pages(CLIENTS)
    assert len(api.sent) == 8


def test_another_refusal_of_a_page_is_an_error(asker: Any, api: Any) -> None:
    api.steps.extend([page("a", "b"), refused(404, "Client not found")])
    with pytest.raises(NotFoundError):
        asker.use(KEY).pages(CLIENTS)
