"""What the synchronous and the asynchronous clients share: everything but the IO itself."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict, Unpack
from urllib.parse import urlencode

import httpx

from locus_stem import __version__
from locus_stem.api.answer import Reader
from locus_stem.api.auth import auth_of
from locus_stem.api.bounds import MAX_BODY_BYTES
from locus_stem.api.flow import Exchange
from locus_stem.api.metrics import Metrics
from locus_stem.api.retry import BUDGET_SECONDS, Retries
from locus_stem.api.transport import environment_proxy
from locus_stem.api.wire import Lost, RawAnswer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.api.auth import Auth
    from locus_stem.api.credentials import LocusCredentials, StemCredentials
    from locus_stem.api.endpoint import Call

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"airflow-provider-locus-stem/{__version__}",
}


class OversizedBodyError(Exception):
    """A body is longer than is taken."""


#: What the IO can raise where no whole answer comes.
LOSSES = (httpx.TransportError, TimeoutError, OversizedBodyError)


@dataclass(slots=True)
class Link:
    """How one flow is driven.

    :param stop: once set, nothing more is sent and no wait goes on: the driver raises StoppedError.
    :param idle: called when the driver is about to wait: for an answer, the request being out, or for a time.
    :param wait_left: seconds that were left of a wait that `stop` ended.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    idle: Callable[[], None] | None = None
    wait_left: float = 0.0


class StoppedError(Exception):
    """The flow was ended from outside; nothing is in flight."""


class Options(TypedDict, total=False):
    """How a client sends; each has a default.

    :param on_token: told every token that the API issues, before it is used: for masking logs. An asynchronous client
        awaits what it gives, if that can be awaited.
    :param budget_seconds: how long a call is sent again that fails but may work; 300.
    :param max_body_bytes: longest body that is taken, as sent and as decompressed; 64 MiB.
    :param clock: monotonic, in seconds.
    :param now: own clock, in UTC.
    """

    on_token: Callable[[str], object]
    budget_seconds: float
    max_body_bytes: int
    clock: Callable[[], float]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Session:
    """One client's settings and counts.

    :param base: URL of the host, no slash at its end.
    :param timeout: longest time for one request in seconds.
    :param budget: seconds within which a call may be sent again.
    :param clock: monotonic, in seconds.
    :param now: own clock, in UTC.
    """

    base: str
    timeout: float
    auth: Auth
    metrics: Metrics
    budget: float
    max_body_bytes: int
    clock: Callable[[], float]
    now: Callable[[], datetime]
    on_token: Callable[[str], object]

    @classmethod
    def of(cls, credentials: LocusCredentials | StemCredentials, **options: Unpack[Options]) -> Session:
        """Begin a session with credentials.

        :raises ConfigurationError: a field of theirs is missing or wrong.
        """
        clock, metrics = options.get("clock", time.monotonic), Metrics()
        base = credentials.validate().host.rstrip("/")
        proxy = environment_proxy(base)
        besides = proxy.secrets if proxy else ()
        auth = auth_of(credentials, clock=clock, on_retry=metrics.retried, besides=besides)
        return cls(
            base=base,
            timeout=credentials.timeout,
            auth=auth,
            metrics=metrics,
            budget=options.get("budget_seconds", BUDGET_SECONDS),
            max_body_bytes=options.get("max_body_bytes", MAX_BODY_BYTES),
            clock=clock,
            now=options.get("now", _utc_now),
            on_token=options.get("on_token", _tell_nobody),
        )

    def begin(self, call: Call, patience: float | None = None) -> Exchange:
        """Set a call on its way; its budget runs from its first sending.

        :param patience: see :class:`~locus_stem.api.retry.Retries`.
        """
        reader = Reader(self.auth.scrub, self.max_body_bytes)
        retries = Retries(self.budget, self.clock, patience=patience)
        return Exchange(call, self.auth, reader, retries, self.metrics)

    def http_request(self, request: Request, idle: Callable[[], None] | None = None) -> httpx.Request:
        """Write a request as httpx sends it."""
        headers = {**_HEADERS, **request.headers}
        content = None
        if request.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            content = urlencode(request.form)
        extensions: dict[str, object] = {"timeout": httpx.Timeout(self.timeout).as_dict()}
        if idle is not None:
            extensions["trace"] = _when_sent(idle)
        return httpx.Request(
            request.method,
            self.base + request.target,
            headers=headers,
            content=content,
            extensions=extensions,
        )

    def receipt(self, request: Request) -> Receipt:
        """Begin to take an answer."""
        limit = self.max_body_bytes if request.limit is None else min(self.max_body_bytes, request.limit)
        return Receipt(self, self.now(), self.clock(), limit)


@dataclass(slots=True)
class Receipt:
    """Takes one answer, piece by piece.

    :param limit: longest body that is taken, in bytes.
    :param response: its status and headers, once they are there.
    """

    session: Session
    asked_at: datetime
    sent_at: float
    limit: int
    response: httpx.Response | None = None
    pieces: list[bytes] = field(default_factory=list)
    length: int = 0

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body.

        :raises OversizedBodyError: it is longer than is taken.
        """
        self.pieces.append(piece)
        self.length += len(piece)
        if self.length > self.limit:
            raise OversizedBodyError(f"the answer is longer than {self.limit} bytes")
        if self.session.clock() - self.sent_at > self.session.timeout:
            raise TimeoutError

    def answer(self, response: httpx.Response, *, is_cut: bool = False) -> RawAnswer:
        """Give the answer and count it.

        :param is_cut: there is more of its body.
        """
        status, body = response.status_code, b"".join(self.pieces)
        self._count(status)
        return RawAnswer(status, response.headers, body, self.asked_at, self.sent_at, is_cut)

    def lost(self, error: Exception) -> RawAnswer | Lost:
        """Say why there is no whole answer and count it; an error's status tells enough, however long its body is."""
        response = self.response
        if isinstance(error, OversizedBodyError) and response is not None and not response.is_success:
            return self.answer(response, is_cut=True)
        kind, detail = _loss(error, self.session.timeout)
        self._count(kind)
        self.pieces.clear()
        return Lost(kind, detail, self.limit)

    def _count(self, status: int | str) -> None:
        self.session.metrics.sent(status, self.session.clock() - self.sent_at)


def _tell_nobody(_: str) -> None:
    """Nobody keeps logs."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _loss(error: Exception, timeout: float) -> tuple[str, str]:
    match error:
        case OversizedBodyError():
            return "oversized", str(error)
        case TimeoutError() | httpx.TimeoutException():
            return "timeout", f"no whole answer within {timeout:g} s"
        case httpx.ConnectError():
            return "connect", str(error) or "no connection"
        case httpx.NetworkError():
            return "reset", str(error) or "the connection was reset"
        case httpx.RemoteProtocolError():
            return "cut-off", str(error) or "the answer was cut off"
        case _:
            return "failed", str(error) or type(error).__name__


def _when_sent(idle: Callable[[], None]) -> Callable[[str, object], None]:
    def trace(event: str, _: object) -> None:
        if event.endswith("send_request_body.complete"):
            idle()

    return trace
