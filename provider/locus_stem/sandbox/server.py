"""The sandbox on a loopback port: in a thread of its own for tests, or a whole process for everyone else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl

try:
    from aiohttp import web
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "the sandbox needs aiohttp: install airflow-provider-locus-stem[sandbox]", name="aiohttp"
    ) from missing

from locus_stem.sandbox.application import Application, Request, api_of, logged_query
from locus_stem.sandbox.ledger import Served
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from locus_stem.sandbox.fleet import EntityType, Fleet

HOST = "127.0.0.1"


class Server:
    """Serves a fleet; as a context manager it runs in a thread and listens before the block begins.

    :param port: 0 takes a free one; ``port`` and ``url`` tell which.
    :param host: address to listen at: another machine can reach it only at one that isn't loopback.
    """

    def __init__(
        self, fleet: Fleet, options: Options | None = None, *, port: int = 0, host: str = HOST
    ) -> None:
        self.fleet = fleet
        self.options = options or Options()
        self.application = Application(fleet, self.options)
        self.port = port
        self.host = host
        self._sender = Sender(self.options, fleet.now)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port of both APIs."""
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> list[Served]:
        """Requests served, the sandbox's own controls left out."""
        return self.application.ledger.served

    def stats(self) -> dict[str, Any]:
        """Return the figures of GET /_sandbox/stats."""
        return self.application.ledger.stats()

    def reset(self) -> None:
        """Forget the log."""
        self.application.ledger.reset()

    def revoke_tokens(self) -> None:
        """Take back all access tokens given out."""
        self.application.tokens.revoke_all()

    def revise(
        self,
        entity_type: EntityType | Literal["stem_site"],
        entity_id: int | str,
        start: datetime,
        end: datetime,
        **how: Any,
    ) -> None:
        """Revise measured values; see Fleet.revise."""
        self.fleet.revise(entity_type, entity_id, start, end, **how)

    # -- running

    async def serve(self, started: threading.Event | None = None) -> None:
        """Serve until :meth:`stop`."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
            self.port = runner.addresses[0][1]
            if started is not None:
                started.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    def __enter__(self) -> Self:
        started = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self.serve(started))
            except BaseException as problem:  # noqa: BLE001  # raised again in the starting thread
                failed.append(problem)
                started.set()

        self._thread = threading.Thread(target=run, name="locus-stem-sandbox", daemon=True)
        self._thread.start()
        started.wait()
        if failed:
            raise failed[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()

    # -- one request

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        arrived = time.monotonic()
        path, _, query = incoming.raw_path.partition("?")
        api = api_of(path)
        body = await incoming.text() if incoming.can_read_body else ""
        request = Request(incoming.method, path, query, incoming.headers, body)
        if api == "sandbox":
            response, _ = await self._sender.send(
                incoming, self.application.control(request), None, lambda: None
            )
            return response
        served = Served(
            api, request.method, path, logged_query(parse_qsl(query, keep_blank_values=True)), arrived
        )
        self.application.ledger.served.append(served)
        in_flight = self.application.in_flight
        in_flight[api] += 1
        served.in_flight = in_flight[api]
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                in_flight[api] -= 1

        try:
            return await self._answer(incoming, request, served, release)
        finally:
            release()
            served.finished = time.monotonic()

    async def _answer(
        self, incoming: web.BaseRequest, request: Request, served: Served, release: Callable[[], None]
    ) -> web.StreamResponse:
        reply = self.application.refused(request, served)
        if reply is None:
            served.fault = self.application.fault(request, served)
            reply = self.application.reply(request, served, served.fault)
            left = served.arrived + self.options.latency_ms / 1000 - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
        served.status = None if served.fault in {"reset", "hang"} else reply.status
        response, served.bytes_sent = await self._sender.send(incoming, reply, served.fault, release)
        return response
