"""Instants: as users and templates write them, and as the servers' clocks show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import MalformedAnswerError
from locus_stem.api.shown import described
from locus_stem.planning.timestamps import parse_instant

if TYPE_CHECKING:
    from locus_stem.api.answer import Answer

#: Servers' clocks are believed to differ from ours by no more than this.
CLOCKS_DIFFER = timedelta(hours=1)
#: Less than this is the way to the server and back.
SAME_CLOCK = timedelta(minutes=1)
_ALLOWED = (
    "an instant with its zone: 2025-10-01T12:00:00Z, a datetime with tzinfo, or a template that gives one"
)


def instant(argument: str, value: Any) -> datetime:
    """Read an instant.

    :return: in UTC.
    :raises ValueError: it is none, or has no zone; names the argument.
    """
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    except (AttributeError, TypeError, ValueError):
        read = None
    if read is None or read.tzinfo is None:
        raise ValueError(f"{argument}: {value!r} is refused; allowed: {_ALLOWED}")
    return datetime.fromtimestamp(read.timestamp(), UTC)


def told(answer: Answer, value: Any) -> datetime:
    """Read an instant of an answer.

    :raises MalformedAnswerError: it is none.
    """
    try:
        return parse_instant(value)
    except (TypeError, ValueError) as error:
        raise unreadable(answer, "a time", value) from error


def unreadable(answer: Answer, what: str, value: Any) -> MalformedAnswerError:
    """Say that a part of an answer can't be read."""
    return MalformedAnswerError(f"{what} in the answer is {described(value)}", path=answer.call.path)


def surely_past(answer: Answer) -> datetime:
    """Give the instant that both clocks, ours and the server's, had passed when it answered."""
    return min(answer.asked_at, answer.server_date or answer.asked_at)


def on_the_servers_clock(ours: datetime, answer: Answer) -> datetime:
    """Give what the server's clock showed at an instant of ours, where the two differ by a believable time."""
    if answer.server_date is None:
        return ours
    ahead = answer.server_date - answer.asked_at
    return ours + ahead if SAME_CLOCK <= abs(ahead) <= CLOCKS_DIFFER else ours
