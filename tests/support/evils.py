"""What a hostile or broken server may answer, as data: a name and the bytes, made from the honest answer."""

from __future__ import annotations

import gzip
import json
import time
import uuid
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from support.hostile import Honest, Produce, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GIGABYTE = 2**30
_PIECE = b" " * 2**20


@dataclass(frozen=True, slots=True)
class Evil:
    """One kind of answer.

    :param produce: see :class:`support.hostile.Hostile`.
    :param stops: it is about more than one entity, so that it ends a run: a redirect says that the host is not the API.
    """

    name: str
    produce: Produce
    stops: bool = False


def _body(make: Callable[[bytes], bytes], **headers: str) -> Produce:
    def produce(honest: Honest) -> Iterator[bytes]:
        body = make(honest.body)
        yield head(200, len(body), Date=honest.headers.get("date", ""), **headers)
        yield body

    return produce


def _json(change: Callable[[Any], Any]) -> Produce:
    """Change the honest answer's JSON; what Python can't write stands in as a text between @ signs."""

    def make(body: bytes) -> bytes:
        changed = change(json.loads(body))
        text = changed if isinstance(changed, str) else json.dumps(changed)
        return text.replace('"@', "").replace('@"', "").encode("utf-8", "surrogatepass")

    return _body(make)


def rows_in(body: Any) -> list[dict[str, Any]]:
    """Find the innermost objects in lists: data rows, streams' rows, listed objects; else the object itself."""
    lists = [value for value in body.values() if isinstance(value, list)] if isinstance(body, dict) else []
    found = [row for value in lists for row in value if isinstance(row, dict)]
    inner = [row for one in found for row in rows_in(one)] if any("streams" in one for one in found) else []
    return inner or found or [body]


NAMES = {"id", "ts", "start_datetime", "end_datetime", "updated", "statusCode", "stream_type"}


def _values(value: Any, rows: int | None = None) -> Produce:
    def change(body: Any) -> Any:
        for row in rows_in(body)[:rows]:
            for name in row:
                if name not in NAMES:
                    row[name] = value
        return body

    return _json(change)


def _times(value: Any) -> Produce:
    def change(body: Any) -> Any:
        for row in rows_in(body)[-1:]:
            for name in ("ts", "end_datetime", "updated"):
                if name in row:
                    row[name] = value
        return body

    return _json(change)


def _ids(value: Any) -> Produce:
    def change(body: Any) -> Any:
        for row in rows_in(body):
            if "id" in row:
                row["id"] = value
        return body

    return _json(change)


def _stream_name(value: Any) -> Produce:
    """Name the last stream so."""

    def change(body: Any) -> Any:
        for one in (body.get("stream_types") or [])[-1:]:
            one["stream_type"] = value
        return body

    return _json(change)


def _keys(extra: dict[str, Any]) -> Produce:
    def change(body: Any) -> Any:
        for row in rows_in(body)[:1]:
            row.update(extra)
        return body

    return _json(change)


def _payload(value: Any) -> Produce:
    def change(body: Any) -> Any:
        if not isinstance(body, dict):
            return value
        return {name: value if isinstance(old, list) else old for name, old in body.items()}

    return _json(change)


def _many(rows: int) -> Produce:
    """Repeat the first row: a million where two dozen are due."""

    def produce(honest: Honest) -> Iterator[bytes]:
        body = json.loads(honest.body)
        rows_in(body)[0]["@"] = "@@"
        before, _, after = json.dumps(body).partition(', "@": "@@"')
        opened = before.rindex("{")
        row = f"{before[opened:]}}},".encode()
        yield head(200, None)
        yield before[:opened].encode()
        for _ in range(rows // 1000):
            yield row * 1000
        yield (before[opened:] + after).encode()

    return produce


def _endless(first: bytes, piece: bytes, pieces: int, pause: float = 0.0, encoded: bool = False) -> Produce:
    def produce(honest: Honest) -> Iterator[bytes]:
        yield first
        for _ in range(pieces):
            yield b"%x\r\n%s\r\n" % (len(piece), piece) if encoded else piece
            time.sleep(pause)

    return produce


def _raw(*pieces: bytes) -> Produce:
    return lambda honest: iter(pieces)


@cache
def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(_PIECE) for _ in range(megabytes)), packer.flush()])


def _deep(depth: int) -> str:
    return f"@{'[' * depth}1{']' * depth}@"


def _tiny_objects(body: bytes) -> bytes:
    name = next((key for key, value in json.loads(body).items() if isinstance(value, list)), "data")
    return b'{"statusCode":200,"%s":[%s{}]}' % (name.encode(), b"{}," * 20_000_000)


def _endless_list(honest: Honest) -> Iterator[bytes]:
    """Answer every page with objects that none before had."""
    key = next(name for name, value in json.loads(honest.body).items() if isinstance(value, list))
    body = json.dumps({key: [{"id": str(uuid.uuid4()), "name": "x"} for _ in range(100)]}).encode()
    yield head(200, len(body))
    yield body


@cache
def _listing(key: str, objects: int) -> bytes:
    numbers = range(1, objects)
    listed = (b'{"id":%d,"updated":"2025-10-20T12:00:00Z"}' % number for number in numbers)
    return b'{"%s":[%s]}' % (key.encode(), b",".join(listed))


def _objects(number: int) -> Produce:
    def produce(honest: Honest) -> Iterator[bytes]:
        lists = (name for name, value in json.loads(honest.body).items() if isinstance(value, list))
        body = _listing(next(lists), number)
        yield head(200, len(body))
        yield body

    return produce


def _with_a_long_text(honest: Honest) -> Iterator[bytes]:
    """Put 20 MB beside what is due: many such answers, each of which is taken, are not to add up."""
    body = b'{"note":"%s",%s' % (b"x" * 20 * 2**20, honest.body.lstrip()[1:])
    yield head(200, len(body), Date=honest.headers.get("date", ""))
    yield body


def _fat_page(honest: Honest) -> Iterator[bytes]:
    """Answer each page with 10 MB of sites that none before had."""
    ids = (uuid.uuid4() for _ in range(100))
    body = json.dumps({"sites": [{"id": str(one), "name": "x" * 100_000} for one in ids]}).encode()
    yield head(200, len(body))
    yield body


#: As many as are just not refused, and as many as are still loaded in half a minute.
HEAVIEST = Evil("as heavy as is taken", _objects(400_000))
MANY = Evil("100,000 objects", _objects(100_000))
LONG_TEXT = Evil("a text of 20 MB beside it", _with_a_long_text)
FAT_PAGES = Evil("fat pages without end", _fat_page)
ENDLESS_LIST = Evil("a list that never ends", _endless_list)


def _second_member(body: bytes) -> bytes:
    return gzip.compress(body) + gzip.compress(b" ") * 200_000


@cache
def _bomb_in_a_gzip() -> bytes:
    return gzip.compress(_bomb(200), 1)


_DIGITS = f"@{'9' * 100_000}@"
_bomb(200)
_TEXT = "\x1b[2J\nERROR Task failed\r\n\x00" + "x" * 2**20

EVILS: tuple[Evil, ...] = (
    Evil("1 GB, announced", _endless(head(200, GIGABYTE), _PIECE, 1024)),
    Evil("1 GB, not announced", _endless(head(200, None), _PIECE, 1024)),
    Evil("1 GB, chunked", _endless(head(200, None, Transfer_Encoding="chunked"), _PIECE, 1024, encoded=True)),
    Evil("1 GB of brackets", _endless(head(200, None), b"[" * 2**20, 1024)),
    Evil("a byte at a time", _endless(head(200, 10**6), b" ", 400, 0.05)),
    Evil("chunks of a byte", _endless(head(200, None, Transfer_Encoding="chunked"), b" ", 400, 0.05, True)),
    Evil("gzip bomb", _body(lambda body: _bomb(200), Content_Encoding="gzip")),
    Evil("gzip bomb in a gzip", _body(lambda body: _bomb_in_a_gzip(), Content_Encoding="gzip, gzip")),
    Evil("gzip of 200,000 members", _body(_second_member, Content_Encoding="gzip")),
    Evil("gzip, cut off", _body(lambda body: gzip.compress(body)[:-9], Content_Encoding="gzip")),
    Evil("gzip and garbage", _body(lambda body: gzip.compress(body) + b"\0garbage", Content_Encoding="gzip")),
    Evil("gzip that is none", _body(lambda body: body, Content_Encoding="gzip")),
    Evil("gzip that isn't told", _body(gzip.compress)),
    Evil("deflate", _body(zlib.compress, Content_Encoding="deflate")),
    Evil("br", _body(lambda body: body, Content_Encoding="br")),
    Evil("a million rows", _many(1_000_000)),
    Evil("20 million empty objects", _body(_tiny_objects)),
    Evil("nested 100,000 deep", _body(lambda body: b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    Evil("values nested 900 deep", _values(_deep(900))),
    Evil("values nested 33 deep", _values(_deep(33))),
    Evil("NaN", _values("@NaN@")),
    Evil("Infinity", _values("@-Infinity@")),
    Evil("1e400", _values("@1e400@")),
    Evil("-0.0", _values(-0.0)),
    Evil("100,000 digits", _values(_DIGITS, 1)),
    Evil("4,000 digits", _values(f"@{'9' * 4000}@")),
    Evil("texts for values", _values("12.5")),
    Evil("texts of a megabyte", _values(_TEXT, 1)),
    Evil("true for values", _values(True)),
    Evil("objects for values", _values({"value": 1})),
    Evil("lists for values", _values([1, 2])),
    Evil("a key twice", _body(lambda body: body.replace(b'"id":', b'"id": null, "id":'))),
    Evil("a key of a megabyte", _keys({"k" * 2**20: 1})),
    Evil("100,000 keys", _keys({f"key{number}": number for number in range(100_000)})),
    Evil(
        "keys that name no column", _keys({"a b": 1, "": 2, "\ud800": 3, "a\x00": 4, "=1;drop": 5, "ÄÖ": 6})
    ),
    Evil("half a surrogate pair", _values("\ud800")),
    Evil("bytes that are no UTF-8", _body(lambda body: body.replace(b'"id"', b'"i\xed\xa0\x80d"'))),
    Evil("NUL characters", _values("a\x00b")),
    Evil("a BOM", _body(lambda body: b"\xef\xbb\xbf" + body)),
    Evil("UTF-16", _body(lambda body: body.decode().encode("utf-16"))),
    Evil("year 0", _times("0000-01-01T00:00:00Z")),
    Evil("a leap second", _times("9999-12-31T23:59:60Z")),
    Evil("year 9999", _times("9999-12-31T23:59:59-23:59")),
    Evil("year 10000", _times("10000-01-01T00:00:00Z")),
    Evil("before 1970", _times("1969-12-31T23:00:00Z")),
    Evil("year 2099", _times("2099-01-01T00:00:00Z")),
    Evil("another year", _times("2021-10-20T00:00:00Z")),
    Evil("an offset of 99 hours", _times("2025-10-20T00:00:00+99:99")),
    Evil("a second of a megabyte", _times("2025-10-20T00:00:00." + "0" * 2**20)),
    Evil("a number for a time", _times(1760918400)),
    Evil("a list for a time", _times([])),
    Evil("null for a time", _times(None)),
    Evil("the same id", _ids(1)),
    Evil("ids that are lists", _ids([1])),
    Evil("ids that are objects", _ids({"id": 1})),
    Evil("ids that are infinite", _ids("@1e400@")),
    Evil("ids that are true", _ids(True)),
    Evil("ids below 0", _ids(-5)),
    Evil("ids of blanks", _ids("   ")),
    Evil("ids with control characters", _ids("a\n\x1b[31mb")),
    Evil("ids that are null", _ids(None)),
    Evil("a stream without a name", _stream_name(None)),
    Evil("a stream's name that is none", _stream_name("CONVERTEX")),
    Evil("null for the list", _payload(None)),
    Evil("an object for the list", _payload({})),
    Evil("a list of lists", _payload([[1], [2]])),
    Evil("a list of nulls", _payload([None, None])),
    Evil("a list for the object", _json(lambda body: [body])),
    Evil("null", _json(lambda body: "null")),
    Evil("a text", _json(lambda body: '"\ud83d\ude00"')),
    Evil("an object without anything", _json(lambda body: "{}")),
    Evil("nothing", _body(lambda body: b"")),
    Evil("a page of HTML", _body(lambda body: b"<html>Scheduled maintenance</html>")),
    Evil("half of it", _body(lambda body: body[: len(body) // 2])),
    Evil("headers without end", _endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n", 10**6)),
    Evil("a header without end", _endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 2**16, 10**5)),
    Evil("10,000 headers", _raw(head(200, 2, *["a:b"] * 10_000) + b"{}")),
    Evil("headers a byte at a time", _endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", 400, 0.05)),
    Evil("status 099", _raw(b"HTTP/1.1 099 So\r\nContent-Length: 2\r\n\r\n{}")),
    Evil("status 299", _raw(head(299, 2) + b"{}")),
    Evil("status 600", _raw(head(600, 2) + b"{}")),
    Evil("status 101", _raw(b"HTTP/1.1 101 So\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n{}")),
    Evil("status 20 digits", _raw(b"HTTP/1.1 20000000000000000000 OK\r\n\r\n{}")),
    Evil("a redirect to nowhere", _raw(head(302, 0, Location="http://[oops")), stops=True),
    Evil("100 Continue without end", _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 10**6)),
    Evil("HTTP/0.9", _raw(b"<html>hello</html>\n")),
    Evil("noise", _raw(bytes(range(256)) * 100)),
    Evil("a length below 0", _raw(head(200, None, Content_Length="-5") + b"{}")),
    Evil("a length of 10,000 digits", _raw(head(200, None, Content_Length="9" * 10_000) + b"{}")),
    Evil("two lengths", _raw(head(200, 2, Content_length="3") + b"{}")),
    Evil("a chunk of 10,000 digits", _raw(head(200, None, Transfer_Encoding="chunked") + b"f" * 10_000)),
    Evil("a Date past the calendar", _raw(head(200, 2, Date="Mon, 01 Jan 0001 00:00:00 +2359") + b"{}")),
    Evil("a Retry-After past the calendar", _raw(head(503, 0, Retry_After="1e30", Date="x" * 5000))),
    Evil("an error of a megabyte", _raw(head(400, None) + json.dumps({"message": _TEXT}).encode())),
    Evil("no bytes at all", _raw()),
)
