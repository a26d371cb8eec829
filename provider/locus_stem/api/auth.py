"""The Authorization header: OAuth tokens that are renewed in time, or a fixed key. Flows without IO."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, quote_plus

from locus_stem.api.answer import Reader
from locus_stem.api.credentials import LocusCredentials, StemCredentials, field_title
from locus_stem.api.errors import ApiError, AuthenticationError, MalformedAnswerError, RetriableError
from locus_stem.api.wire import Exclusive, Flow, RawAnswer, Request, Send, Wait, given_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from locus_stem.api.retry import Retries

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
#: A token is renewed so long before its end, in seconds, or a tenth of its life if that is less.
LONGEST_MARGIN = 30.0

_HIDDEN = "***"


class Auth(Protocol):
    """Gives the Authorization header and judges its refusal."""

    def authorization(self, retries: Retries) -> Flow[str]:
        """Give the header's value, which may take requests for a token."""

    def rejected(self, authorization: str, error: ApiError, in_row: int) -> ApiError:
        """Judge a 401 to this header, the `in_row`-th of a call: retriable where another token may do."""

    def scrub(self, text: str) -> str:
        """Take every secret out of a text."""


def auth_of(
    credentials: LocusCredentials | StemCredentials,
    *,
    clock: Callable[[], float],
    on_token: Callable[[str], object] | None = None,
    on_retry: Callable[[], None] = lambda: None,
) -> Auth:
    """Choose how credentials are sent.

    :param clock: monotonic, in seconds.
    :param on_token: told every token that the API issues, before it is used.
    :param on_retry: told of every request for a token that is sent again.
    """
    if isinstance(credentials, StemCredentials):
        return FixedKey("APIKEY", credentials.api_key or "", credentials.label, "api_key")
    if credentials.grant == "bearer":
        return FixedKey("Bearer", credentials.password or "", credentials.label, "password")
    return TokenAuth(credentials, clock=clock, on_token=on_token, on_retry=on_retry)


class FixedKey:
    """A key that stays the same: the first 401 is final."""

    def __init__(self, scheme: str, key: str, label: str, key_field: str) -> None:
        self._header = f"{scheme} {key}"
        self._secrets = _spellings([key])
        self._label = label
        self._key_field = key_field

    def authorization(self, retries: Retries) -> Flow[str]:  # noqa: ARG002 - takes no request
        """Give the header's value."""
        return self._header
        yield

    def rejected(self, authorization: str, error: ApiError, in_row: int) -> ApiError:  # noqa: ARG002 - one key
        """Turn a 401 into the final error."""
        return AuthenticationError(
            f"{error.problem}. The key of {self._label} is refused: "
            f"check its field {field_title(self._key_field)}",
            path=error.path,
            status=error.status,
        )

    def scrub(self, text: str) -> str:
        """Take the key out of a text."""
        return _scrubbed(text, self._secrets)


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    fresh_until: float


class TokenAuth:
    """OAuth tokens by password or client credentials, renewed by their refresh token where they have one."""

    def __init__(
        self,
        credentials: LocusCredentials,
        *,
        clock: Callable[[], float],
        on_token: Callable[[str], object] | None,
        on_retry: Callable[[], None],
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._on_token = on_token
        self._on_retry = on_retry
        self._token: _Token | None = None
        self._refresh_token: str | None = None
        self._secrets = _spellings(filter(None, (credentials.password, credentials.client_secret)))
        self._tokens: deque[str] = deque(maxlen=16)
        self._reader = Reader(self.scrub)

    def authorization(self, retries: Retries) -> Flow[str]:
        """Give the header's value, with a new token where there is none that lasts."""
        token = self._lasting()
        if token is None:
            token = yield Exclusive(self._renewed(retries))
        return token.header

    def rejected(self, authorization: str, error: ApiError, in_row: int) -> ApiError:
        """Drop the token unless it is a newer one than the refused; the next request gets another."""
        if self._token is not None and self._token.header == authorization:
            self._token = None
            if in_row > 1:  # what the refresh token gave doesn't help: log in again
                self._refresh_token = None
        return error

    def scrub(self, text: str) -> str:
        """Take passwords, secrets and the latest tokens out of a text."""
        return _scrubbed(text, (*self._secrets, *self._tokens))

    def _lasting(self) -> _Token | None:
        token = self._token
        return token if token is not None and self._clock() < token.fresh_until else None

    def _renewed(self, retries: Retries) -> Flow[_Token]:
        token = self._lasting()  # another request may have got one while this one waited for its turn
        while token is None:
            sent = yield Send(Request("POST", TOKEN_PATH, {}, self._form()))
            try:
                token = self._issued(sent)
            except RetriableError as error:
                wait = retries.wait_after(error, given_up=given_up(sent))
                self._on_retry()
                yield Wait(wait)
        return token

    def _form(self) -> dict[str, str]:
        given = self._credentials
        app = {"client_id": given.client_id or "", "client_secret": given.client_secret or ""}
        if self._refresh_token is not None:
            return {"grant_type": "refresh_token", **app, "refresh_token": self._refresh_token}
        if given.grant == "client_credentials":
            return {"grant_type": given.grant, **app}
        user = {"username": given.username or "", "password": given.password or ""}
        return {"grant_type": given.grant, **app, **user}

    def _issued(self, sent: Any) -> _Token | None:
        """Read the token endpoint's answer; None where a refresh was refused and the next try logs in.

        :raises ApiError: the endpoint failed or refused.
        """
        try:
            error = self._reader.error(sent, TOKEN_PATH)
            if error is not None:
                raise error
            return self._taken(self._reader.object(sent, TOKEN_PATH), sent)
        except ApiError as error:
            if error.status is None or not 400 <= error.status < 500 or error.status in {408, 429}:
                raise
            if self._refresh_token is not None:
                self._refresh_token = None
                return None
            names = [name for name in self._form() if name != "grant_type"]
            raise AuthenticationError(
                f"{error.problem}. The token endpoint refuses the credentials of {self._credentials.label}: "
                f"check its host and the fields {', '.join(map(field_title, names))}",
                path=TOKEN_PATH,
                status=error.status,
            ) from None

    def _taken(self, body: Mapping[str, Any], sent: RawAnswer) -> _Token:
        access, refresh = body.get("access_token"), body.get("refresh_token")
        if not isinstance(access, str) or not access or not access.isascii() or not access.isprintable():
            raise MalformedAnswerError("the answer has no access_token", path=TOKEN_PATH)
        issued = [token for token in (access, refresh) if isinstance(token, str) and token]
        for token in issued:
            self._tokens.extend(_spellings([token]))
            if self._on_token is not None:
                self._on_token(token)
        if len(issued) > 1:  # an answer to a refresh holds none: the old one stays
            self._refresh_token = issued[1]
        life = _seconds(body.get("expires_in"))
        # counted from the sending, by the own monotonic clock: issued_at is the server's
        until = sent.sent_at + life - min(LONGEST_MARGIN, life / 10)
        self._token = _Token(f"Bearer {access}", until)
        return self._token


def _seconds(value: Any) -> float:
    """Read expires_in; what can't be read counts as for ever, a 401 will tell."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return math.inf
    return max(0.0, seconds) if not math.isnan(seconds) else math.inf


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Give secrets as they can stand in a text, the longest first: as they are, in a form, a URL and in JSON."""
    found = {
        spelling
        for secret in secrets
        if secret
        for spelling in (
            secret,
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        )
    }
    return tuple(sorted(found, key=len, reverse=True))


def _scrubbed(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text
