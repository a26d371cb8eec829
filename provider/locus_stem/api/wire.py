"""What goes over the wire and what a flow asks its driver to do, without any IO."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    :param target: path and query, percent-encoded.
    :param form: sent as an urlencoded body where it is not None.
    :param limit: longest body of the answer that is taken, in bytes; None: the client's.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One HTTP answer, its body as it came over the wire (maybe compressed).

    :param headers: by lower-case name.
    :param asked_at: own clock in UTC when the request was sent.
    :param sent_at: the client's monotonic clock then, in seconds.
    :param is_cut: the body was longer than is taken, and the rest of it was not awaited: an error tells by its status.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    asked_at: datetime
    sent_at: float
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer came.

    :param kind: ``timeout``, ``reset``, ``cut-off``, ``connect``, ``oversized`` or ``failed``.
    :param limit: of an oversized one, how many bytes would have been taken.
    """

    kind: str
    detail: str = field(repr=False)  # as the server wrote it: an error shows it without secrets
    limit: int = 0


def given_up(sent: RawAnswer | Lost) -> bool:
    """Whether a request was given up on while the API may still be working at it."""
    return sent.kind == "timeout" if isinstance(sent, Lost) else sent.is_cut


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the result is a RawAnswer or Lost."""

    request: Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever keeps logs clean that a token was issued, before it is used."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exclusive:
    """Run a flow while no other exclusive one of this client runs; the result is the flow's."""

    flow: Flow[Any]


Action = Send | Wait | Tell | Exclusive
#: Yields what is to be done and is sent its result; a synchronous and an asynchronous driver serve it alike.
Flow = Generator[Action, Any, T]
