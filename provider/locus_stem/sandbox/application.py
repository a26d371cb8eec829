"""The sandbox without its sockets: from a request to a reply, or to the fault that replaces it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from locus_stem.sandbox.faults import Faults
from locus_stem.sandbox.ledger import Ledger
from locus_stem.sandbox.locus_routes import LocusRoutes
from locus_stem.sandbox.oauth import Tokens
from locus_stem.sandbox.reply import Refusal, Reply, locus_error, stem_error
from locus_stem.sandbox.stem_routes import StemRoutes
from locus_stem.sandbox.unknown import extended_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.ledger import Served
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

TOKEN_PATH = "/oauth/token"  # noqa: S105  # a path
STEM_PREFIX = "/api/v1/"
CONTROL_PREFIX = "/_sandbox/"
#: Replies of an error's status alone.
STATUSES = frozenset({"429", "500", "502", "503", "504"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its path still percent-encoded and its form or JSON body as text."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str = ""


def api_of(path: str) -> str:
    """Return which API a path belongs to: token, stem, sandbox or locus."""
    if path == TOKEN_PATH:
        return "token"
    if path.startswith(CONTROL_PREFIX):
        return "sandbox"
    return "stem" if path.startswith(STEM_PREFIX) else "locus"


class Application:
    """Both APIs and the sandbox's own controls."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        self.fleet = fleet
        self.options = options
        self.ledger = Ledger()
        self.tokens = Tokens(options)
        self.faults = Faults(options)
        self.locus = LocusRoutes(fleet, options)
        self.stem = StemRoutes(fleet, options)
        self.in_flight = {"locus": 0, "stem": 0, "token": 0}

    # -- admission

    def refused(self, request: Request, served: Served) -> Reply | None:
        """Refuse who isn't let in, or who has too many requests in flight already."""
        error = self._error(served.api)
        if served.api == "token":
            return None if request.method == "POST" else error(405)
        authorization = request.headers.get("Authorization")
        if served.api == "stem":
            if authorization != f"APIKEY {self.options.accepted.stem_api_key}":
                return error(401)
            limit = self.options.stem_concurrency
        else:
            if not self.tokens.accepts(authorization):
                return error(401)
            limit = self.options.concurrency
        if request.method != "GET":
            return error(405)
        return error(429) if served.in_flight > limit else None

    def fault(self, request: Request, served: Served) -> str | None:
        """Draw a fault."""
        grant = dict(parse_qsl(request.body)).get("grant_type", "") if served.api == "token" else ""
        api = "refresh" if grant == "refresh_token" else served.api
        return self.faults.draw(api, f"{request.method} {request.path}?{request.query} {grant}")

    # -- replies

    def reply(self, request: Request, served: Served, fault: str | None) -> Reply:
        """Answer, or answer with what a fault puts in place of the answer."""
        error = self._error(served.api)
        if fault == "401":
            self.tokens.revoke(request.headers.get("Authorization"))
            return error(401)
        if fault in STATUSES:
            return error(int(fault))
        if fault in {"429-retry-after", "503-retry-after"}:
            return self._later(error(int(fault[:3])))
        if fault == "not-json":
            return Reply(
                200, b"<html><body>Scheduled maintenance</body></html>", {"Content-Type": "text/html"}
            )
        if fault == "status-in-body":
            statuses = (500, 429, 401) if served.api == "locus" else (500,)
            return replace(error(statuses[len(self.ledger.served) % len(statuses)]), status=200)
        try:
            answer = self._answer(request, served, fault)
        except Refusal as refusal:
            return error(refusal.status, refusal.message)
        return extended_answer(answer) if self.fleet.unknown else answer

    def _answer(self, request: Request, served: Served, fault: str | None) -> Reply:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        if served.api == "token":
            return self._token(request, fault)
        if served.api == "stem":
            return self.stem.answer(request.path, pairs)
        return self.locus.answer(request.path, pairs)

    def _later(self, refusal: Reply) -> Reply:
        """Name the time to wait in both forms of HTTP: a 429 in seconds, a 503 as a date."""
        seconds = self.options.retry_after
        named = str(seconds)
        if refusal.status == 503:
            until = self.fleet.now() + timedelta(seconds=seconds)
            named = format_datetime(until.astimezone(UTC), usegmt=True)
        return replace(refusal, headers={"Retry-After": named})

    def _token(self, request: Request, fault: str | None) -> Reply:
        return self.tokens.token(
            parse_qsl(request.body, keep_blank_values=True),
            with_refresh_token=fault != "refresh-without-refresh-token",
            refuse_refresh=fault == "refresh-refused",
        )

    @staticmethod
    def _error(api: str) -> Callable[..., Reply]:
        return stem_error if api == "stem" else locus_error

    # -- the sandbox's own controls

    def control(self, request: Request) -> Reply:
        """Answer /_sandbox/*."""
        action = (request.method, request.path.removeprefix(CONTROL_PREFIX))
        if action == ("GET", "log"):
            return Reply.of(self.ledger.to_json())
        if action == ("GET", "stats"):
            return Reply.of(self.ledger.stats())
        if action == ("POST", "reset"):
            self.ledger.reset()
            return Reply.of({})
        if action == ("POST", "revise"):
            try:
                self.revise(json.loads(request.body))
            except (KeyError, TypeError, ValueError) as problem:
                return locus_error(400, f"{type(problem).__name__}: {problem}")
            return Reply.of({})
        if action == ("POST", "revoke"):
            self.tokens.revoke_all()
            return Reply.of({})
        return locus_error(404)

    def revise(self, wanted: Mapping[str, Any]) -> None:
        """Revise an entity's values: the arguments of Fleet.revise as JSON, times in ISO 8601 with offset."""
        arguments = dict(wanted)
        self.fleet.revise(
            arguments.pop("entity_type"),
            arguments.pop("entity_id"),
            datetime.fromisoformat(arguments.pop("start")),
            datetime.fromisoformat(arguments.pop("end")),
            **arguments,
        )


def logged_query(pairs: Pairs) -> str:
    """Return a query as it may be logged: what looks like a secret is left out."""
    secret = ("token", "secret", "password", "key")
    return "&".join(
        f"{name}={'***' if any(word in name.lower() for word in secret) else value}" for name, value in pairs
    )
