"""A webhook's receiver on a real socket, with the sandbox's faults: a ticketing system on a bad day."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from locus_stem.demo.webhook import KEY_HEADER, Post
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.ledger import Served
from locus_stem.sandbox.reply import Reply
from locus_stem.sandbox.server import Server

if TYPE_CHECKING:
    from aiohttp import web

    from locus_stem.sandbox.options import Options


class Receiver(Server):
    """Takes what is posted; a fault whose kind is a status refuses it, any other comes after it was taken."""

    def __init__(self, options: Options) -> None:
        super().__init__(Fleet(sites=1), options)
        self.posts: list[Post] = []
        self._open = 0

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        self._open += 1
        served = Served("webhook", incoming.method, incoming.raw_path, "", time.monotonic(), self._open)
        self.log.append(served)
        try:
            return await self._taken(incoming, served)
        finally:
            self._open -= 1
            served.finished = time.monotonic()

    async def _taken(self, incoming: web.BaseRequest, served: Served) -> web.StreamResponse:
        body, key = await incoming.read(), incoming.headers[KEY_HEADER]
        fault = served.fault = self.application.faults.draw("webhook", key)
        served.status = int(fault) if fault is not None and fault.isdigit() else 200
        if served.status < 300:
            self.posts.append(Post(key, json.loads(body)))
        await asyncio.sleep(self.options.latency_ms / 1000)
        reply = Reply(served.status, b'{"noted": true}')
        response, served.bytes_sent = await self._sender.send(incoming, reply, fault, lambda: None)
        return response
