"""The token endpoint and the tokens that it has given out (reference: authentication/*)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from locus_stem.sandbox.entities import mix
from locus_stem.sandbox.query import parameters
from locus_stem.sandbox.reply import Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs

_NEEDED = {
    "password": ("username", "password"),
    "refresh_token": ("refresh_token",),
    "client_credentials": (),
}


@dataclass(frozen=True, slots=True)
class Issued:
    """When a token was given out, by the clock that the life of tokens goes by."""

    at: float
    epoch: int


class Tokens:
    """Issues and checks tokens; the clock is monotonic seconds."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._begun = clock()
        self._access: dict[str, Issued] = {}
        self._refresh: set[str] = set()
        self._count = 0

    def _epoch(self) -> int:
        every = self._options.revoke_every
        return int((self._clock() - self._begun) / every) if every else 0

    def _new(self) -> str:
        self._count += 1
        return f"{mix(self._count, int(self._begun * 1e6)):016x}{mix(self._count, 9):016x}"

    def accepts(self, authorization: str | None) -> bool:
        """Whether an Authorization header lets in."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return False
        if token == self._options.accepted.bearer_token:
            return True
        issued = self._access.get(token)
        return (
            issued is not None
            and self._clock() - issued.at < self._options.token_life
            and issued.epoch == self._epoch()
        )

    def revoke(self, authorization: str | None) -> None:
        """Take an access token back."""
        self._access.pop((authorization or "").partition(" ")[2], None)

    def revoke_all(self) -> None:
        """Take all access tokens back."""
        self._access.clear()

    def token(self, pairs: Pairs, *, with_refresh_token: bool = True, refuse_refresh: bool = False) -> Reply:
        """Answer POST /oauth/token.

        :param with_refresh_token: whether the answer to a refresh holds a new refresh token.
        :param refuse_refresh: treat the refresh token as no longer valid.
        """
        grant = dict(pairs).get("grant_type", "")
        if grant not in _NEEDED:
            raise Refusal(400, "Missing or unsupported grant_type")
        form = parameters(pairs, required=("grant_type", "client_id", "client_secret", *_NEEDED[grant]))
        accepted = self._options.accepted
        if (form["client_id"], form["client_secret"]) != (accepted.client_id, accepted.client_secret):
            raise Refusal(401, "Invalid client credentials")
        if grant == "password" and (form["username"], form["password"]) != (accepted.user, accepted.password):
            raise Refusal(401, "Invalid username or password")
        if grant == "refresh_token":
            if refuse_refresh:
                self._refresh.discard(form["refresh_token"])
            if form["refresh_token"] not in self._refresh:
                raise Refusal(400, "Invalid refresh_token")
        access = self._new()
        self._access[access] = Issued(self._clock(), self._epoch())
        payload: dict[str, str | int] = {
            "access_token": access,
            "issued_at": int(time.time()),
            "expires_in": self._options.token_life,
        }
        if grant == "client_credentials":
            return Reply.of(payload)
        payload["token_type"] = "bearer"  # noqa: S105  # a kind of token
        if grant == "password" or with_refresh_token:
            refresh = self._new()
            self._refresh.add(refresh)
            payload["refresh_token"] = refresh
        return Reply.of(payload)
