"""How long an answer can be: what is due fits, by a margin, and what can't be read in little memory is refused."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest

from locus_stem.api import (
    ExcessiveAnswerError,
    LocusEndpoints,
    MalformedAnswerError,
    OversizedAnswerError,
    StemEndpoints,
)
from locus_stem.api.answer import MAX_GZIP_MEMBERS, Reader
from locus_stem.api.bounds import MAX_BODY_BYTES, MAX_DEPTH, MAX_NAMES, MAX_WEIGHT, depth_and_names, weight
from locus_stem.api.stem import STREAM_TYPES
from locus_stem.api.wire import RawAnswer

READER = Reader(lambda text: text)
NOW = datetime(2025, 10, 27, tzinfo=UTC)
SITES = LocusEndpoints.get_partner_sites.request(partner_id=1)


def raw(body: bytes, **headers: str) -> RawAnswer:
    return RawAnswer(200, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW, 0.0)


def site_data(gran: str, start: str, end: str, fields: int = 2):
    names = [f"Field{number}_avg" for number in range(fields)]
    call = LocusEndpoints.get_site_data.request(
        site_id=7, fields=names, start=start, end=end, tz="UTC", gran=gran
    )
    return call, names


def data(rows: int, names: list[str]) -> bytes:
    row = {"id": 7, "ts": "2025-10-20T00:00:00-07:00", **dict.fromkeys(names, -1234567.8901234567)}
    return json.dumps({"statusCode": 200, "data": [row] * rows}, indent=4).encode()


@pytest.mark.parametrize(
    ("gran", "start", "end", "rows"),
    [
        ("1min", "2025-10-20T00:00:00", "2025-10-24T23:59:59", 7201),
        ("5min", "2025-10-01T00:00:00", "2025-10-31T23:59:59", 8929),
        ("hourly", "2025-10-20T00:00:00", "2025-10-20T23:59:59", 25),
        ("daily", "2024-10-20T00:00:00", "2025-10-19T23:59:59", 366),
        ("monthly", "2020-01-01T00:00:00", "2025-12-31T23:59:59", 73),
        ("yearly", "2000-01-01T00:00:00", "2025-12-31T23:59:59", 27),
    ],
)
def test_every_row_that_is_due_fits_even_written_widely(gran, start, end, rows) -> None:
    call, names = site_data(gran, start, end, fields=20)
    assert len(READER.answer(raw(data(rows, names)), call).payload) == rows


def test_a_year_of_three_streams_fits() -> None:
    call = StemEndpoints.get_site_streams.request(
        site_id="s", start="2024-10-20T00:00:00Z", end="2025-10-20T00:00:00Z", resolution=900,
        stream_type=STREAM_TYPES,
    )  # fmt: skip
    row = {
        "start_datetime": "2025-10-20T00:00:01+00:00",
        "end_datetime": "2025-10-20T00:15:00+00:00",
        "kw_total_avg": 1.5,
    }
    streams = [
        {"stream_type": name, "streams": [row] * 35_041}
        for name in ("MONITOR", "CONVERTER", "INTERVAL_REVENUE")
    ]
    body = json.dumps({"stream_types": streams}).encode()
    assert weight(body) < MAX_WEIGHT / 2
    assert sum(len(one["streams"]) for one in READER.answer(raw(body), call).payload) == 105_123


def test_the_components_of_a_large_partner_fit() -> None:
    text = {f"attribute{number}": "a text of some length" for number in range(14)}
    body = json.dumps({"components": [{"id": 3000001, "siteId": 1, "clientId": 2, **text}] * 60_000}).encode()
    assert weight(body) < MAX_WEIGHT
    assert len(body) < MAX_BODY_BYTES


def test_rows_that_were_not_asked_for_are_refused_before_they_are_read() -> None:
    call, names = site_data("hourly", "2025-10-20T00:00:00", "2025-10-20T23:59:59")
    tiny = b'{"data":[' + b"{}," * 5000 + b"{}]}"
    with pytest.raises(ExcessiveAnswerError, match="more than 152 objects"):
        READER.answer(raw(tiny), call)
    with pytest.raises(
        ExcessiveAnswerError, match=r"longer than \d+ bytes, which what was asked for can't be"
    ):
        READER.answer(raw(data(20_000, names)), call)
    with pytest.raises(ExcessiveAnswerError, match="longer than"):
        READER.answer(raw(gzip.compress(data(20_000, names)), content_encoding="gzip"), call)


@pytest.mark.parametrize("piece", [b"{}", b"[]", b'{"a":1}', b'"ab"', b"1.5", b"null"])
def test_little_pieces_that_take_much_memory_are_refused_by_their_weight(piece) -> None:
    body = b'{"sites":[' + (piece + b",") * (40 * 2**20 // (len(piece) + 1)) + b"1]}"
    with pytest.raises(OversizedAnswerError, match="would take more than 224 MiB"):
        READER.answer(raw(body), SITES)


@pytest.mark.parametrize("wide", ['"\\ud83d\\ude00"', '"😀"'])
def test_a_wide_character_makes_a_long_text_heavy(wide) -> None:
    body = f'{{"sites":[{wide},"{"a" * 2**20}"]}}'.encode()
    assert weight(body) >= 4 * 2**20


def test_a_value_may_be_as_deep_as_is_told_and_no_deeper() -> None:
    def nested(depth: int) -> bytes:
        return b'{"sites":[{"id":1,"x":' + b"[" * depth + b"]" * depth + b"}]}"

    assert READER.answer(raw(nested(MAX_DEPTH - 3)), SITES).payload
    with pytest.raises(MalformedAnswerError, match="nested deeper than 32 levels"):
        READER.answer(raw(nested(MAX_DEPTH - 2)), SITES)
    assert depth_and_names(None) == (0, 0)


@pytest.mark.parametrize("objects", [1, 100])
def test_an_answer_may_have_as_many_names_as_is_told_and_no_more(objects) -> None:
    def named(names: int) -> bytes:
        rows = [{f"name{number}": 1 for number in range(one, names, objects)} for one in range(objects)]
        return json.dumps({"sites": [*rows, {"name0": 1}]}).encode()

    assert READER.answer(raw(named(MAX_NAMES - 1)), SITES).payload
    with pytest.raises(OversizedAnswerError, match="more than 10000 different names"):
        READER.answer(raw(named(MAX_NAMES)), SITES)


def test_an_answer_knows_its_weight() -> None:
    body = b'{"sites": [{"id": 1}]}'
    assert READER.answer(raw(body), SITES).weight == weight(body)


def test_gzip_of_many_members_is_not_taken_apart() -> None:
    body = gzip.compress(b'{"sites": []}')
    padding = gzip.compress(b" ")
    assert (
        READER.answer(raw(body + padding * (MAX_GZIP_MEMBERS - 1), content_encoding="gzip"), SITES).payload
        == []
    )
    with pytest.raises(MalformedAnswerError, match="more than 16 members"):
        READER.answer(raw(body + padding * MAX_GZIP_MEMBERS, content_encoding="gzip"), SITES)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_an_answer_is_utf_8(encoding) -> None:
    with pytest.raises(MalformedAnswerError, match="is not JSON"):
        READER.answer(raw('{"sites": [], "name": "é"}'.encode(encoding)), SITES)
    assert READER.answer(raw('\ufeff{"sites": []}'.encode()), SITES).payload == []
