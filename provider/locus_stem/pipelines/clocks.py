"""When something was asked, on a clock that is the same for all machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import median

from locus_stem.api.answer import trusted

__all__ = ["Clocks"]

#: How far the server's clock may be from one's own when the request was sent, which of both then tells when it was.
AHEAD, BEHIND = timedelta(minutes=1), timedelta(seconds=1)
#: One answer's Date may be a cache's, or anything; most of so many tell what the server's clock shows.
ENOUGH = 3


class Clocks:
    """One's own clock, and how far the server's is ahead of it by most of the answers of a task."""

    def __init__(self) -> None:
        self._ahead: list[float] = []

    def note(self, asked_at: datetime, server_date: datetime | None) -> None:
        """Take note of what both clocks showed; a date more than a day off tells nothing."""
        if (date := trusted(server_date, asked_at)) is not None:
            self._ahead.append((date - asked_at).total_seconds())

    def in_order(self, asked_at: datetime) -> datetime:
        """Tell when something was asked, so that it can be put in order with what other machines have asked.

        One's own clock is the finer one; where it contradicts the server's, which is the same for all, that one counts.
        """
        ahead = timedelta(seconds=median(self._ahead) if len(self._ahead) >= ENOUGH else 0)
        return (asked_at if -BEHIND <= ahead <= AHEAD else asked_at + ahead).astimezone(UTC)
