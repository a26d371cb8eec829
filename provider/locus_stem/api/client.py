"""Clients for Locus and Stem, sync and async: drivers of the one flow, with the endpoints as methods."""

from __future__ import annotations

import asyncio
import threading
import time
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast

import httpx

from locus_stem.api.answer import Answer
from locus_stem.api.credentials import LocusCredentials, StemCredentials
from locus_stem.api.errors import StemNoResults
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.session import LOSSES, Link, Options, Session, StoppedError
from locus_stem.api.stem import Paging, StemEndpoints
from locus_stem.api.transport import (
    KEEPALIVE,
    DeadlineTransport,
    environment_proxy,
    trusted_authorities,
)
from locus_stem.api.wire import Exclusive, Flow, Lost, RawAnswer, Request, Send, Tell, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from locus_stem.api.endpoint import Call
    from locus_stem.api.flow import Exchange
    from locus_stem.api.metrics import Metrics
    from locus_stem.api.transport import Proxy

__all__ = ["Answer", "AsyncLocusClient", "AsyncStemClient", "LocusClient", "StemClient"]

T = TypeVar("T")
C = TypeVar("C", LocusCredentials, StemCredentials)


class _Client(Generic[C]):
    """Sends calls over one kept-alive connection, and waits where it must.

    Safe to use from several threads; they share the token. Each thread has a request of its own in flight.

    :param credentials: checked here, before anything is sent.
    :param transport: instead of a real connection: for tests.
    :param sleep: instead of waiting: for tests.
    :param options: see :class:`~locus_stem.api.session.Options`.
    :raises ConfigurationError: a field of the credentials is missing or wrong.
    """

    def __init__(
        self,
        credentials: C,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._session = Session.of(credentials, **options)
        self._transport = transport or DeadlineTransport(self._session.base)
        self._sleep = sleep
        self._lock = threading.Lock()

    @property
    def metrics(self) -> Metrics:
        """Counts of everything sent."""
        return self._session.metrics

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        self._transport.close()

    def call(self, call: Call) -> Any:
        """Send a call and give what stands under its endpoint's answer key.

        :raises ApiError: refused, or still failing at the budget's end.
        """
        return self.answer(call).payload

    def answer(self, call: Call) -> Answer:
        """Send a call and give its answer, with the times at which it was asked.

        :raises ApiError: refused, or still failing at the budget's end.
        """
        return self._drive(self.begin(call).answered(), Link())

    def begin(self, call: Call, patience: float | None = None) -> Exchange:
        """Set a call on its way without sending it, for :meth:`receive`.

        :param patience: seconds for which it may be sent again after other failures than a 429, where they are less
            than the client's budget.
        """
        return self._session.begin(call, patience)

    def receive(self, exchange: Exchange, link: Link) -> RawAnswer:
        """Send an exchange's call until there is an answer to read.

        :raises ApiError: refused, or still failing at the budget's end.
        :raises StoppedError: the link was stopped.
        """
        return self._drive(exchange.received(), link)

    def _drive(self, flow: Flow[T], link: Link) -> T:
        result: object = None
        while True:
            try:
                action = flow.send(result)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if link.stop.is_set():
                raise StoppedError
            match action:
                case Send(request):
                    result = self._send(request, link.idle)
                case Wait(seconds):
                    self.pause(seconds, link)
                    result = None
                case Tell(token):
                    result = self._session.on_token(token)
                case Exclusive(inner):
                    with self._lock:
                        result = self._drive(inner, link)

    def _send(self, request: Request, idle: Callable[[], None] | None) -> RawAnswer | Lost:
        receipt = self._session.receipt(request)
        try:
            response = self._transport.handle_request(self._session.http_request(request, idle))
            receipt.response = response
            try:
                for piece in cast("httpx.SyncByteStream", response.stream):  # as sent: Reader unpacks it
                    receipt.feed(piece)
            finally:
                response.close()
        except LOSSES as error:
            return receipt.lost(error)
        return receipt.answer(response)

    def pause(self, seconds: float, link: Link) -> None:
        """Wait, unless the link is stopped: then its `wait_left` tells how much is left."""
        if link.idle is not None:
            link.idle()
        if self._sleep is not None:
            self._sleep(seconds)
        else:
            began = time.monotonic()
            if link.stop.wait(seconds):
                link.wait_left = max(0.0, began + seconds - time.monotonic())


class _AsyncClient(Generic[C]):
    """Sends calls asynchronously; the flow and all its rules are the synchronous client's.

    :param credentials: checked here, before anything is sent.
    :param transport: instead of a real connection: for tests.
    :param sleep: instead of waiting: for tests.
    :param options: see :class:`~locus_stem.api.session.Options`.
    :raises ConfigurationError: a field of the credentials is missing or wrong.
    """

    def __init__(
        self,
        credentials: C,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **options: Unpack[Options],
    ) -> None:
        self._session = Session.of(credentials, **options)
        self._transport = transport or httpx.AsyncHTTPTransport(
            verify=trusted_authorities(),
            limits=httpx.Limits(max_keepalive_connections=1, keepalive_expiry=KEEPALIVE),
            proxy=_httpx_proxy(environment_proxy(self._session.base)),
        )
        self._sleep = sleep
        self._lock = asyncio.Lock()

    @property
    def metrics(self) -> Metrics:
        """Counts of everything sent."""
        return self._session.metrics

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()

    async def call(self, call: Call) -> Any:
        """Send a call and give what stands under its endpoint's answer key.

        :raises ApiError: refused, or still failing at the budget's end.
        """
        return (await self.answer(call)).payload

    async def answer(self, call: Call) -> Answer:
        """Send a call and give its answer, with the times at which it was asked.

        :raises ApiError: refused, or still failing at the budget's end.
        """
        return await self._drive(self._session.begin(call).answered())

    async def _drive(self, flow: Flow[T]) -> T:
        result: object = None
        while True:
            try:
                action = flow.send(result)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            match action:
                case Send(request):
                    result = await self._send(request)
                case Wait(seconds):
                    result = await self._sleep(seconds)
                case Tell(token):
                    result = self._session.on_token(token)
                    if isawaitable(result):
                        result = await result
                case Exclusive(inner):
                    async with self._lock:
                        result = await self._drive(inner)

    async def _send(self, request: Request) -> RawAnswer | Lost:
        receipt = self._session.receipt(request)
        try:
            async with asyncio.timeout(self._session.timeout):
                response = await self._transport.handle_async_request(self._session.http_request(request))
                receipt.response = response
                try:
                    async for piece in cast("httpx.AsyncByteStream", response.stream):
                        receipt.feed(piece)
                finally:
                    await response.aclose()
        except LOSSES as error:
            return receipt.lost(error)
        return receipt.answer(response)


def _httpx_proxy(proxy: Proxy | None) -> httpx.Proxy | None:
    return None if proxy is None else httpx.Proxy(proxy.url, auth=proxy.login)


class LocusClient(LocusEndpoints, _Client[LocusCredentials]):
    """Asks the Locus Energy v3 API; its methods are the endpoints'."""


class AsyncLocusClient(LocusEndpoints, _AsyncClient[LocusCredentials]):
    """Asks the Locus Energy v3 API asynchronously; its methods are the endpoints', to be awaited."""


class StemClient(StemEndpoints, _Client[StemCredentials]):
    """Asks the Stem Developer Data API; its methods are the endpoints'."""

    def pages(self, call: Call) -> Iterator[dict[str, Any]]:
        """Give every object of a list, page by page, each id once.

        :param call: of get_clients or get_client_sites.
        """
        paging = Paging(call)
        while paging.call is not None:
            try:
                page = self.answer(paging.call)
            except StemNoResults:
                page = None
            yield from paging.take(page)


class AsyncStemClient(StemEndpoints, _AsyncClient[StemCredentials]):
    """Asks the Stem Developer Data API asynchronously; its methods are the endpoints', to be awaited."""

    async def pages(self, call: Call) -> AsyncIterator[dict[str, Any]]:
        """Give every object of a list, page by page, each id once.

        :param call: of get_clients or get_client_sites.
        """
        paging = Paging(call)
        while paging.call is not None:
            try:
                page = await self.answer(paging.call)
            except StemNoResults:
                page = None
            for item in paging.take(page):
                yield item
