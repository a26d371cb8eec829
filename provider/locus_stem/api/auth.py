"""The Authorization header: OAuth tokens that are renewed in time, or a fixed key. Flows without IO."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from locus_stem.api.answer import Reader
from locus_stem.api.credentials import LocusCredentials, StemCredentials, field_title
from locus_stem.api.errors import ApiError, AuthenticationError, MalformedAnswerError, RetriableError
from locus_stem.api.spellings import scrubbed
from locus_stem.api.wire import Exclusive, Flow, Lost, RawAnswer, Request, Send, Tell, Wait, given_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from locus_stem.api.retry import Retries

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
#: Longest answer of the token endpoint, and longest token in it: it goes into every request's header.
MOST_TOKEN_BYTES, LONGEST_TOKEN = 2**20, 16_384
#: A token is renewed so long before its end, in seconds, or a tenth of its life if that is less.
LONGEST_MARGIN = 30.0


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
    on_retry: Callable[[], None] = lambda: None,
    besides: Iterable[str | None] = (),
) -> Auth:
    """Choose how credentials are sent.

    :param clock: monotonic, in seconds.
    :param on_retry: told of every request for a token that is sent again.
    :param besides: other secrets that an error must not show.
    """
    hidden = (*credentials.secrets, *besides)
    if isinstance(credentials, StemCredentials):
        return FixedKey("APIKEY", credentials.api_key or "", credentials.label, "api_key", hidden)
    if credentials.grant == "bearer":
        return FixedKey("Bearer", credentials.password or "", credentials.label, "password", hidden)
    return TokenAuth(credentials, clock=clock, on_retry=on_retry, hidden=hidden)


class FixedKey:
    """A key that stays the same: the first 401 is final."""

    def __init__(
        self, scheme: str, key: str, label: str, key_field: str, hidden: tuple[str | None, ...]
    ) -> None:
        self._header = f"{scheme} {key}"
        self._hidden = hidden
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
        return scrubbed(text, self._hidden)


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
        on_retry: Callable[[], None],
        hidden: tuple[str | None, ...],
    ) -> None:
        self._credentials = credentials
        self._hidden = hidden
        self._clock = clock
        self._on_retry = on_retry
        self._token: _Token | None = None
        self._refresh_token: str | None = None
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
        return scrubbed(text, (*self._hidden, *self._tokens))

    def _lasting(self) -> _Token | None:
        token = self._token
        return token if token is not None and self._clock() < token.fresh_until else None

    def _renewed(self, retries: Retries) -> Flow[_Token]:
        token = self._lasting()  # another request may have got one while this one waited for its turn
        while token is None:
            sent = yield Send(Request("POST", TOKEN_PATH, {}, self._form(), MOST_TOKEN_BYTES))
            try:
                token = yield from self._issued(sent)
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

    def _issued(self, sent: RawAnswer | Lost) -> Flow[_Token | None]:
        """Read the token endpoint's answer; None where a refresh was refused and the next try logs in.

        :raises ApiError: the endpoint failed or refused.
        """
        try:
            error = self._reader.error(sent, TOKEN_PATH)
            if error is not None:
                raise error
            assert isinstance(sent, RawAnswer)  # noqa: S101 - a lost one is an error
            return (yield from self._taken(sent))
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

    def _taken(self, sent: RawAnswer) -> Flow[_Token]:
        grant = _Grant.read(self._reader.object(sent, TOKEN_PATH))
        if max(len(grant.access), len(grant.refresh)) > LONGEST_TOKEN:
            raise MalformedAnswerError(
                f"the answer has a token longer than {LONGEST_TOKEN} characters", path=TOKEN_PATH
            )
        yield from self._told(grant)
        if not grant.is_usable:
            raise MalformedAnswerError("the answer has no access_token", path=TOKEN_PATH)
        self._refresh_token = grant.refresh or self._refresh_token
        # counted from the sending, by the own monotonic clock: issued_at is the server's
        until = sent.sent_at + grant.life - min(LONGEST_MARGIN, grant.life / 10)
        self._token = _Token(f"Bearer {grant.access}", until)
        return self._token

    def _told(self, grant: _Grant) -> Flow[None]:
        for token in (grant.access, grant.refresh):
            if token:
                self._tokens.append(token)
                yield Tell(token)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What the token endpoint gave.

    :param refresh: empty in the answer to a refresh: the old one stays.
    :param life: seconds.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    life: float

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> _Grant:
        access, refresh = (
            text if isinstance(text, str) and text.isprintable() else ""
            for text in (body.get("access_token"), body.get("refresh_token"))
        )
        return cls(access, refresh, _seconds(body.get("expires_in")))

    @property
    def is_usable(self) -> bool:
        """Whether it holds a token that a header can hold."""
        return self.access != "" and self.access.isascii()


def _seconds(value: Any) -> float:
    """Read expires_in; what can't be read counts as for ever, a 401 will tell."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return max(0.0, seconds) if not math.isnan(seconds) else math.inf
