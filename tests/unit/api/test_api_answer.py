from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from locus_stem.api import ApiError, LocusClient, LocusCredentials, LocusEndpoints, MalformedAnswerError
from locus_stem.api.answer import Reader
from locus_stem.api.spellings import scrubbed
from locus_stem.api.wire import RawAnswer

SITE = LocusEndpoints.get_site.request(site_id=1)
SITES = LocusEndpoints.get_partner_sites.request(partner_id=1)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
READER = Reader(lambda text: text, 1_000_000)


def raw(body: bytes, **headers: str) -> RawAnswer:
    return RawAnswer(200, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW, 0.0)


def test_status_codes_are_taken_out_of_the_object_and_of_a_lists_objects() -> None:
    body = b'{"statusCode": 200, "sites": [{"statusCode": 200, "id": 1, "sub": {"statusCode": 5}}]}'
    assert READER.answer(raw(body), SITES).payload == [{"id": 1, "sub": {"statusCode": 5}}]
    assert READER.answer(raw(b'{"statusCode": 200, "id": 1}'), SITE).payload == {"id": 1}


@pytest.mark.parametrize("status", ["9" * 5000, 10**20, -1, 0, True, None, [], "", "²", "1e2", 99999])
@pytest.mark.parametrize("body", [{"statusCode": 0}, {"errors": [{"code": 0}]}], ids=["Locus", "Stem"])
def test_a_status_that_is_none_is_an_error_of_the_api(body, status) -> None:
    text = json.dumps(body).replace(": 0", f": {json.dumps(status)}")
    with pytest.raises(ApiError) as caught:
        READER.answer(raw(text.encode()), SITE)
    assert len(str(caught.value)) < 500


def test_an_answer_without_status_code_is_taken() -> None:
    assert READER.answer(raw(b'{"id": 1}'), SITE).payload == {"id": 1}


def test_an_object_may_have_no_attributes_at_all() -> None:
    call = LocusEndpoints.get_installinfo.request(site_id=1)
    assert READER.answer(raw(b'{"statusCode": 200}'), call).payload == {}


def test_a_null_is_kept_apart_from_what_is_left_out() -> None:
    body = b'{"data": [{"id": 1, "W_avg": null}, {"id": 2}]}'
    call = LocusEndpoints.get_site_bulk_data.request(
        partner_id=1,
        fields=["W_avg"],
        start="2024-01-01T00:00:00",
        end="2024-02-01T00:00:00",
        tz="UTC",
        gran="monthly",
    )
    assert READER.answer(raw(body), call).payload == [{"id": 1, "W_avg": None}, {"id": 2}]


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b'{"id": 1}'), gzip.compress(b'{"id"') + gzip.compress(b": 1}")],
    ids=["one member", "two members"],
)
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_is_unpacked(packed: bytes, encoding: str) -> None:
    assert READER.answer(raw(packed, content_encoding=encoding), SITE).payload == {"id": 1}


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(b'{"id": 1}')[:-9], "gzip", "cut off"),
        (b'{"id": 1}', "gzip", "says that it is gzip, but is not"),
        (gzip.compress(b'{"id": 1}') + b"tail", "gzip", "says that it is gzip, but is not"),
        (b"", "gzip", "is empty"),
        (zlib.compress(b'{"id": 1}'), "deflate", "encoded as 'deflate'"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_malformed(body: bytes, encoding: str, message: str) -> None:
    with pytest.raises(MalformedAnswerError, match=rf"^/v3/sites/1: .*{message}"):
        READER.answer(raw(body, content_encoding=encoding), SITE)


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_unpacked_whole() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with pytest.raises(MalformedAnswerError, match="longer than 1000000 bytes"):
        READER.answer(raw(bomb, content_encoding="gzip"), SITE)


def test_an_answer_tells_when_it_was_asked_by_both_clocks() -> None:
    asked = iter([NOW, NOW + timedelta(seconds=9)])
    date = "Mon, 01 Jan 2024 00:05:00 GMT"
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"id": 1}, headers={"Date": date}))
    credentials = LocusCredentials(grant_type="bearer", password="x")
    with LocusClient(credentials, transport=transport, now=lambda: next(asked)) as client:
        answer = client.answer(SITE)
    assert (answer.asked_at, answer.call) == (NOW, SITE)
    assert answer.server_date == NOW + timedelta(minutes=5)


@pytest.mark.parametrize("date", ["", "today", "Mon, 99 Jan 2024 00:05:00 GMT"])
def test_a_date_that_cannot_be_read_is_none(date: str) -> None:
    assert READER.answer(raw(b'{"id": 1}', date=date), SITE).server_date is None


def test_requests_say_what_they_accept_and_who_sends_them(asker: Any, api: Any) -> None:
    asker.use().ask(SITE)
    headers = api.sent[0].headers
    assert (headers["Accept"], headers["Accept-Encoding"]) == ("application/json", "gzip")
    assert headers["User-Agent"].startswith("airflow-provider-locus-stem/")
    assert headers["Host"] == "api.locusenergy.com"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("geheim-é-9f3b2c7d1a", b"no: geheim-\xe9-9f3b2c7d1a"),  # Latin-1
        ("geheim-é-9f3b2c7d1a", "no: geheim-é-9f3b2c7d1a".encode()),
        ("geheim-é-9f3b2c7d1a", b"no: bytearray(b'geheim-\\xe9-9f3b2c7d1a')"),
        ("geheim-é-9f3b2c7d1a", b"no: geheim--9f3b2c7d1a"),
        ("geheim-é-9f3b2c7d1a", b"no: geheim-?-9f3b2c7d1a"),
        ("correct horse battery", b"no: correct\nhorse\t battery"),
    ],
)
def test_a_secret_is_hidden_however_a_text_is_encoded_and_broken_into_lines(secret: str, said: bytes) -> None:
    reader = Reader(lambda text: scrubbed(text, [secret]))
    answer = RawAnswer(400, {"content-type": "text/plain"}, said, NOW, 0.0)
    text = str(reader.error(answer, "/path"))
    assert "no: " in text
    for part in ("geheim", "9f3b2c7d1a", "horse", "battery"):
        assert part not in text


def test_of_a_login_in_a_location_nothing_is_shown() -> None:
    secret = "Tr0ub4dor@longtail9876"
    answer = RawAnswer(302, {"location": f"https://{secret}/"}, b"", NOW, 0.0)
    assert "longtail" not in str(Reader(lambda text: scrubbed(text, [secret])).error(answer, "/path"))


def test_half_a_letter_at_the_end_of_what_is_read_does_not_garble_the_rest() -> None:
    answer = RawAnswer(400, {"content-type": "text/plain"}, ("ü" + "x" * 4093 + "ü").encode(), NOW, 0.0)
    assert "HTTP 400: üxxx" in str(READER.error(answer, "/path"))
