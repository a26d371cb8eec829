"""From an answer's bytes to what was asked for, or to the typed error that it means. No IO."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from locus_stem.api.bounds import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_NAMES,
    MAX_WEIGHT,
    depth_and_names,
    weight,
)
from locus_stem.api.errors import (
    ApiError,
    BadRequestError,
    ExcessiveAnswerError,
    MalformedAnswerError,
    NotFoundError,
    OversizedAnswerError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    ServerError,
    TokenRejectedError,
    TransportError,
)
from locus_stem.api.shown import shown
from locus_stem.api.wire import Lost, RawAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from locus_stem.api.bounds import Bound
    from locus_stem.api.endpoint import Call, ReadRefusal
    from locus_stem.api.errors import RefusedError

#: Characters of the API's own message that an error carries.
MESSAGE_LENGTH = 200
#: Pieces that a compressed body may be put together of; servers send one.
MAX_GZIP_MEMBERS = 16
#: Seconds of the longest Retry-After that is believed: a week.
LONGEST_RETRY_AFTER = 7 * 86_400.0
#: A server's clock that is farther off tells nothing.
FARTHEST_CLOCK = timedelta(days=1)

_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered.

    :param payload: what stands under the endpoint's answer key; the whole object without it.
    :param asked_at: own clock in UTC when the request was sent.
    :param server_date: the answer's Date header, None where there is none.
    :param weight: the most memory, in bytes, that it takes, as :func:`locus_stem.api.bounds.weight` reckons it.
    :param total: how many objects the list has by the answer's own `total`, None where that can't be read.
    """

    payload: Any
    asked_at: datetime
    server_date: datetime | None
    call: Call
    weight: int = 0
    total: int | None = None

    @property
    def trusted_date(self) -> datetime | None:
        """The server's clock, None where it is unknown or so far off that it tells nothing."""
        return trusted(self.server_date, self.asked_at)


def trusted(server_date: datetime | None, asked_at: datetime) -> datetime | None:
    """Give a Date header, None where it is absent or more than :data:`FARTHEST_CLOCK` off."""
    if server_date is None or abs(server_date - asked_at) > FARTHEST_CLOCK:
        return None
    return server_date


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads answers.

    :param scrub: takes secrets out of a text: whatever the server wrote goes through it into an error.
    :param max_body_bytes: longest decompressed body.
    """

    scrub: Callable[[str], str]
    max_body_bytes: int = MAX_BODY_BYTES

    def error(
        self,
        sent: RawAnswer | Lost,
        path: str,
        read_refusal: ReadRefusal | None = None,
    ) -> ApiError | None:
        """Give the error that an answer's status or its absence means, None where there is a body to read."""
        if isinstance(sent, Lost):
            if sent.kind == "oversized":
                return self._oversized(sent.limit, path)
            return TransportError(self._shown(f"{sent.kind}: {sent.detail}"), path=path)
        if 200 <= sent.status < 300:
            return None
        return self._status_error(sent.status, self._said(sent, path), sent.headers, path, read_refusal)

    def object(self, raw: RawAnswer, path: str) -> dict[str, Any]:
        """Read a body that must be a JSON object whose `statusCode`, if any, is a success.

        It is UTF-8; of a key that an object has twice the last value counts.

        :raises ApiError: it is something else, or its `statusCode` means that error.
        """
        try:
            return self._object(raw, path, None, None)[0]
        except ApiError as error:
            raise error.with_traceback(None) from None  # the frames hold what the server wrote

    def answer(self, raw: RawAnswer, call: Call) -> Answer:
        """Read the answer to a call.

        :raises ApiError: the answer can't be read, or its `statusCode` means that error.
        """
        try:
            return self._answer(raw, call)
        except ApiError as error:
            raise error.with_traceback(None) from None  # the frames hold what the server wrote

    def _answer(self, raw: RawAnswer, call: Call) -> Answer:
        endpoint, path = call.endpoint, call.path
        body, weighs = self._object(raw, path, endpoint.read_refusal, call.bound)
        payload: Any = body
        if endpoint.answer_key is not None:
            if endpoint.answer_key not in body:
                raise MalformedAnswerError(
                    f"the answer has no {endpoint.answer_key!r}", path=path, status=raw.status
                )
            payload = body[endpoint.answer_key]
        if endpoint.many:
            if not isinstance(payload, list) or not all(isinstance(item, dict) for item in payload):
                raise MalformedAnswerError(
                    f"{endpoint.answer_key!r} is not a list of objects", path=path, status=raw.status
                )
            for item in payload:  # sites come with a statusCode each
                item.pop("statusCode", None)
        date = _date(raw.headers.get("date"))
        return Answer(payload, raw.asked_at, date, call, weighs, _count(body.get("total")))

    def _object(
        self,
        raw: RawAnswer,
        path: str,
        read_refusal: ReadRefusal | None,
        bound: Bound | None,
    ) -> tuple[dict[str, Any], int]:
        """Give the body and what it weighs."""
        packed = self._body(raw, path, bound)
        if bound is not None and packed.count(b"{") > bound.objects:
            raise ExcessiveAnswerError(
                f"the answer holds more than {bound.objects} objects, which what was asked for can't have",
                path=path,
            )
        body, weighs = _json(packed, path)
        if not isinstance(body, dict):
            raise MalformedAnswerError("the answer is JSON, but not an object", path=path, status=raw.status)
        status = _status_in(body)
        if not 200 <= status < 300:
            raise self._status_error(status, _message(body), raw.headers, path, read_refusal)
        body.pop("statusCode", None)
        return body, weighs

    def _said(self, raw: RawAnswer, path: str) -> str | None:
        """Give an error's own message, empty where it has none that tells something, None where it can't be read."""
        try:
            return _message(_json(self._body(raw, path, None), path)[0])
        except OversizedAnswerError:
            return ""
        except MalformedAnswerError:
            text = _plain(raw.body[:4096]).strip()
            is_plain = raw.headers.get("content-type", "").startswith("text/plain")
            return text if is_plain else None

    def _body(self, raw: RawAnswer, path: str, bound: Bound | None) -> bytes:
        limit = self.limit(bound)
        encoding = raw.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"", "identity"}:
            if len(raw.body) > limit:
                raise self._oversized(limit, path)
            return raw.body
        if encoding not in {"gzip", "x-gzip"}:
            shown = self._shown(encoding, 20)
            raise MalformedAnswerError(
                f"the answer is encoded as {shown!r}, which was not asked for", path=path
            )
        return self._gunzip(raw.body, path, limit)

    def limit(self, bound: Bound | None) -> int:
        """Give the longest body that is taken, in bytes: what was asked for can be shorter than the client takes."""
        return self.max_body_bytes if bound is None else min(self.max_body_bytes, bound.length)

    def _oversized(self, limit: int, path: str) -> OversizedAnswerError:
        if limit < self.max_body_bytes:
            return ExcessiveAnswerError(
                f"the answer is longer than {limit} bytes, which what was asked for can't be", path=path
            )
        return OversizedAnswerError(f"the answer is longer than {limit} bytes", path=path)

    def _gunzip(self, packed: bytes, path: str, limit: int) -> bytes:
        parts, left = [], limit
        try:
            while packed:
                member = zlib.decompressobj(_GZIP)
                part = member.decompress(packed, left + 1)
                left -= len(part)
                if left < 0:
                    raise self._oversized(limit, path)
                if not member.eof:
                    raise MalformedAnswerError("the compressed answer is cut off", path=path)
                parts.append(part)
                if len(parts) > MAX_GZIP_MEMBERS:
                    raise MalformedAnswerError(
                        f"the compressed answer has more than {MAX_GZIP_MEMBERS} members", path=path
                    )
                packed = member.unused_data
        except zlib.error:
            raise MalformedAnswerError("the answer says that it is gzip, but is not", path=path) from None
        return b"".join(parts)

    def _shown(self, text: str, length: int = MESSAGE_LENGTH) -> str:
        """Write what the server sent as an error may show it."""
        # Scrubbed before it is shortened, since half a secret would no longer be found, and again as one line.
        return shown(self.scrub(" ".join(self.scrub(text).split())), length)

    def _status_error(
        self,
        status: int,
        said: str | None,
        headers: Mapping[str, str],
        path: str,
        read_refusal: ReadRefusal | None,
    ) -> ApiError:
        said = None if said is None else self._shown(said)
        problem = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        retry_after = _retry_after(headers)
        match status:
            case 401:
                return TokenRejectedError(problem, path=path, status=status)
            case 429:
                return RateLimitedError(problem, path=path, status=status, retry_after=retry_after)
            case 408:
                return TransportError(problem, path=path, status=status, retry_after=retry_after)
            case _ if status >= 500:
                return ServerError(problem, path=path, status=status, retry_after=retry_after)
            case _ if 300 <= status < 400:
                where = self._shown(_host(self.scrub(headers.get("location", ""))))
                to = f" to {where}" if where else ""
                return RedirectedError(f"{problem}: redirected{to}", path=path, status=status)
            case _ if status < 400:
                return MalformedAnswerError(f"the answer's statusCode is {status}", path=path, status=status)
        if read_refusal is not None and (meant := read_refusal(status, said, path)) is not None:
            meant.server_date = _date(headers.get("date"))
            return meant
        kinds: dict[int, type[RefusedError]] = {403: PermissionDeniedError, 404: NotFoundError}
        return kinds.get(status, BadRequestError)(problem, path=path, status=status)


def _plain(body: bytes) -> str:
    """Read a text that may be cut off: as UTF-8, else as Latin-1."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        return body[: error.start].decode() if error.start > len(body) - 4 else body.decode("latin-1")


def _host(location: str) -> str:
    """Give the host that a Location header names, empty where it names none."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _json(body: bytes, path: str) -> tuple[Any, int]:
    """Read a body; give what it weighs too."""
    if not body or body.isspace():
        raise MalformedAnswerError("the answer is empty", path=path)
    if (weighs := weight(body)) > MAX_WEIGHT:
        raise OversizedAnswerError(
            f"the answer ({len(body)} bytes) would take more than {MAX_WEIGHT // 2**20} MiB to read",
            path=path,
        )
    try:
        read = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, NaN, a number too long
        raise MalformedAnswerError(f"the answer ({len(body)} bytes) is not JSON", path=path) from None
    depth, names = depth_and_names(read)
    if depth > MAX_DEPTH:
        raise MalformedAnswerError(f"the answer is nested deeper than {MAX_DEPTH} levels", path=path)
    if names > MAX_NAMES:
        raise OversizedAnswerError(
            f"the answer has fields of more than {MAX_NAMES} different names", path=path
        )
    return read, weighs


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _status_in(body: Mapping[str, Any]) -> int:
    status = body.get("statusCode", 200)
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):  # Stem
        status = errors[0].get("code", 400)
    if isinstance(status, str) and re.fullmatch("[0-9]{1,3}", status):
        status = int(status)
    is_status = isinstance(status, int) and not isinstance(status, bool) and 0 < status < 1000
    return status if is_status else 0


def _count(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _message(body: Any) -> str:
    """Give the API's own message: Locus' `message`, OAuth's `error_description`, Stem's list of `errors`."""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    if isinstance(errors, list):
        return "; ".join(filter(None, map(_message, errors)))
    said = [body[key] for key in ("error", "error_description", "message") if isinstance(body.get(key), str)]
    return ": ".join(said)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, seconds or an HTTP date; None where there is none that can be read or believed."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until = _date(text)
        if until is None:
            return None
        # the server's own clock, where it shows it: ours may differ
        now = _date(headers.get("date")) or datetime.now(UTC)
        seconds = (until - now).total_seconds()
    return max(0.0, seconds) if seconds <= LONGEST_RETRY_AFTER else None  # neither NaN nor a year


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (
        TypeError,
        ValueError,
        OverflowError,
        IndexError,
    ):  # the last two: years and zones past the calendar
        return None
