"""A vendor's API behind a fake transport, a clock that only waits move, and a client of either kind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from locus_stem.api import (
    AsyncLocusClient,
    AsyncStemClient,
    Call,
    LocusClient,
    LocusCredentials,
    StemClient,
    StemCredentials,
)

Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class FakeClock:
    """Seconds; moved by waits and by :meth:`pass_time` only."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeApi:
    """Plays steps, first those put in, then successes; tokens are T1, T2, …, refresh tokens R1, ….

    :param accepts: which Authorization header a resource takes; None: any.
    """

    clock: FakeClock
    steps: deque[Step] = field(default_factory=deque)
    token_steps: deque[Step] = field(default_factory=deque)
    expires_in: Any = 3600
    seconds: float = 0.0
    accepts: Callable[[str], bool] | None = None
    sent: list[httpx.Request] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    issued: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.clock.pass_time(self.seconds)
        if request.url.path.endswith("/oauth/token"):
            return self._token(request)
        self.sent.append(request)
        if self.accepts is not None and not self.accepts(request.headers["Authorization"]):
            return refusal(401, "token expired")
        return _play(self.steps.popleft(), request) if self.steps else httpx.Response(200, json=SITE)

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.forms.append(form)
        if self.token_steps:
            return _play(self.token_steps.popleft(), request)
        self.issued += 1
        token = {"access_token": f"T{self.issued}", "expires_in": self.expires_in, "issued_at": 1}
        if form["grant_type"] == "password":
            token["refresh_token"] = f"R{self.issued}"
        return httpx.Response(200, json=token)

    @property
    def authorizations(self) -> list[str]:
        return [request.headers["Authorization"] for request in self.sent]

    @property
    def grants(self) -> list[str]:
        return [form["grant_type"] for form in self.forms]


SITE = {"statusCode": 200, "id": 1}


def refusal(status: int, message: str = "", **headers: str) -> httpx.Response:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"statusCode": status, "message": message}, headers=shown)


def _play(step: Step, request: httpx.Request) -> httpx.Response:
    if isinstance(step, Exception):
        raise step
    return step if isinstance(step, httpx.Response) else step(request)


PASSWORD = LocusCredentials(
    username="solar",
    password="pass&word",
    client_id="app",
    client_secret="s3cret",
    label="connection 'locus_default'",
)


class Asker:
    """Sends calls with a synchronous or an asynchronous client: every rule must hold for both."""

    def __init__(self, kind: str, api: FakeApi, clock: FakeClock) -> None:
        self.kind, self.api, self.clock = kind, api, clock
        self.runner = asyncio.Runner()
        self.client: Any = None

    def use(self, credentials: LocusCredentials | StemCredentials = PASSWORD, **options: Any) -> Asker:
        transport = httpx.MockTransport(self.api)
        classes = {
            ("sync", LocusCredentials): LocusClient,
            ("async", LocusCredentials): AsyncLocusClient,
            ("sync", StemCredentials): StemClient,
            ("async", StemCredentials): AsyncStemClient,
        }
        sleep = self.clock.sleep if self.kind == "sync" else self.clock.asleep
        make: Any = classes[self.kind, type(credentials)]
        self.client = make(credentials, transport=transport, clock=self.clock, sleep=sleep, **options)
        return self

    def ask(self, call: Call) -> Any:
        result = self.client.call(call)
        return result if self.kind == "sync" else self.runner.run(result)

    def pages(self, call: Call) -> list[Any]:
        async def gather() -> list[Any]:
            return [item async for item in self.client.pages(call)]

        return list(self.client.pages(call)) if self.kind == "sync" else self.runner.run(gather())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def api(clock: FakeClock) -> FakeApi:
    return FakeApi(clock)


@pytest.fixture(params=["sync", "async"])
def asker(request: pytest.FixtureRequest, api: FakeApi, clock: FakeClock) -> Iterator[Asker]:
    asker = Asker(request.param, api, clock)
    with asker.runner:
        yield asker


@pytest.fixture
def refused() -> Callable[..., httpx.Response]:
    return refusal
