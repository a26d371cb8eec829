"""Stands before a sandbox and lets chosen requests fail."""

from __future__ import annotations

import time

import httpx

from locus_stem.api.transport import DeadlineTransport


class Failing(httpx.BaseTransport):
    """HTTP 503 for each path that ends so, while it lasts; with `hangs` no answer at all, after so many seconds."""

    def __init__(self, base: str, *, hangs: float = 0.0, most: int = 100) -> None:
        self.real = DeadlineTransport(base)
        self.ends: tuple[str, ...] = ()
        self.headers: dict[str, str] = {}
        self.hangs, self.most = hangs, most
        self.failed: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith(self.ends):
            return self.real.handle_request(request)
        self.failed.append(request.url.path)
        assert len(self.failed) < self.most, "it is asked for ever"
        if self.hangs:
            time.sleep(self.hangs)
            raise httpx.ReadTimeout("slow")
        return httpx.Response(503, headers=self.headers)

    def close(self) -> None:
        self.real.close()
