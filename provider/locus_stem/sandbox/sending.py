"""Putting a reply on the socket, whole or broken, and knowing when its last byte has left."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.reply import Reply

_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)
_LOOK_EVERY = 0.005
#: Faults that begin an answer and never end it.
_BROKEN = frozenset({"cut-off", "reset-mid-body", "hang-mid-body"})


class Sender:
    """Sends replies; ``release`` is called before a client can have the last byte and ask again."""

    def __init__(self, options: Options, now: Callable[[], datetime]) -> None:
        self._options = options
        self._now = now

    async def send(
        self, request: web.BaseRequest, reply: Reply, fault: str | None, release: Callable[[], None]
    ) -> tuple[web.StreamResponse, int]:
        """Send a reply as the fault has it; return aiohttp's response and the number of body bytes."""
        if fault == "reset":
            release()
            return _reset(request), 0
        if fault == "hang":
            await self._hang(request)
            release()
            return _reset(request), 0
        body, response = _prepared(request, reply)
        response.headers["Date"] = format_datetime(self._now().astimezone(UTC), usegmt=True)
        if fault == "empty":
            body = b""
        elif fault == "garbled":
            body = _garbled(body)
        response.content_length = len(body)
        await response.prepare(request)
        if fault in _BROKEN:
            await self._break_off(request, response, body, fault, release)
            return response, len(body) // 2
        if fault == "slow":
            await self._trickle(response, body, release)
        else:
            if len(body) > 1:
                await response.write(body[:-1])
            await _drained(request)
            release()
            await response.write(body[-1:])
        await response.write_eof()
        await _drained(request)
        return response, len(body)

    async def _break_off(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        body: bytes,
        fault: str,
        release: Callable[[], None],
    ) -> None:
        """Send the first half of a body; then end the connection in an orderly way, with a reset, or not for long."""
        if fault != "hang-mid-body":
            release()
        await response.write(body[: len(body) // 2])
        await _drained(request)
        if fault == "hang-mid-body":
            await self._hang(request)
            release()
        if fault == "cut-off":
            if request.transport is not None:
                request.transport.close()
        else:
            _reset(request)

    async def _hang(self, request: web.BaseRequest) -> None:
        waited = 0.0
        while waited < self._options.hang_seconds and not _gone(request):
            await asyncio.sleep(_LOOK_EVERY)
            waited += _LOOK_EVERY

    async def _trickle(self, response: web.StreamResponse, body: bytes, release: Callable[[], None]) -> None:
        pieces = 20
        size = max(1, -(-len(body) // pieces))
        for first in range(0, len(body), size):
            await asyncio.sleep(self._options.slow_seconds / pieces)
            if first + size >= len(body):
                release()
            await response.write(body[first : first + size])


def _prepared(request: web.BaseRequest, reply: Reply) -> tuple[bytes, web.StreamResponse]:
    headers = {"Content-Type": "application/json", **reply.headers}
    body = reply.body
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 1, mtime=0)
    return body, web.StreamResponse(status=reply.status, headers=headers)


def _garbled(body: bytes) -> bytes:
    """Break a body so that it can neither be unpacked nor read as JSON."""
    middle = len(body) // 2
    broken = bytearray(body)
    broken[middle : middle + 4] = bytes(255 - byte for byte in broken[middle : middle + 4])
    if body[:2] == b"\x1f\x8b":
        try:
            gzip.decompress(bytes(broken))
        except (OSError, EOFError, zlib.error):
            return bytes(broken)
        return b"\xff" * len(body)
    broken[middle : middle + 4] = b"\xff\xfe\xff\xfe"[: len(broken[middle : middle + 4])]
    return bytes(broken)


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection with a TCP reset."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
        request.transport.abort()
    return web.Response(status=500)


async def _drained(request: web.BaseRequest) -> None:
    """Wait until the kernel has taken every byte."""
    while request.transport is not None and request.transport.get_write_buffer_size():
        await asyncio.sleep(0)
        if _gone(request):
            return
