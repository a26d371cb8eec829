"""A turn in the API's slot: how long a task may hold it, what it used it for, how far it is."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locus_stem.api.client import LocusClient

log = logging.getLogger(__name__)

#: Seconds after which a task gives its slot back; others wait for it (an alert sync at most three minutes).
TURN_SECONDS = 100.0
#: Seconds between two lines of progress.
PROGRESS_SECONDS = 20.0


@dataclass(slots=True)
class Turn:
    """One turn of a task in the slot.

    :param client: whose requests are counted.
    :param seconds: how long no request of this turn may start after its begin.
    """

    client: LocusClient
    seconds: float = TURN_SECONDS
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    _usage_from: datetime = field(default_factory=lambda: datetime.now(UTC))

    def over(self) -> bool:
        """Whether the slot is to be given back."""
        return time.monotonic() - self._began >= self.seconds

    def progress(self, what: str, done: int, total: int, before: int = 0) -> None:
        """Log what is done, what is left and the expected end, at most every :data:`PROGRESS_SECONDS`.

        :param before: how many of `done` an earlier turn did; the expected end is reckoned from this turn's pace.
        """
        now = time.monotonic()
        if now - self._told < PROGRESS_SECONDS and done < total:
            return
        self._told = now
        left = total - done
        here = done - before
        if left and here:
            end = datetime.now(UTC) + timedelta(seconds=(now - self._began) / here * left)
            log.info(
                "%s: %d of %d done, %d left, expected end %s", what, done, total, left, f"{end:%H:%M:%S} UTC"
            )
        else:
            log.info("%s: %d of %d done", what, done, total)

    def usage(self) -> Usage:
        """Give what was used since the last call, and begin to count anew."""
        metrics = self.client.metrics.take()
        started, self._usage_from = self._usage_from, datetime.now(UTC)
        return Usage(
            requests=metrics.requests,
            by_status={str(status): count for status, count in metrics.by_status.items()},
            retries=metrics.retries,
            api_seconds=metrics.api_seconds,
            started=started,
            ended=self._usage_from,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What the API was used for: everything sent, requests for tokens included."""

    requests: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    api_seconds: float = 0.0
    started: datetime | None = None
    ended: datetime | None = None

    def __add__(self, other: Usage) -> Usage:
        statuses = self.by_status.keys() | other.by_status.keys()
        return Usage(
            requests=self.requests + other.requests,
            by_status={s: self.by_status.get(s, 0) + other.by_status.get(s, 0) for s in sorted(statuses)},
            retries=self.retries + other.retries,
            api_seconds=self.api_seconds + other.api_seconds,
            started=min((t for t in (self.started, other.started) if t), default=None),
            ended=max((t for t in (self.ended, other.ended) if t), default=None),
        )

    @property
    def wall_seconds(self) -> float:
        """Seconds from the first turn's begin to the last one's end."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else 0.0

    def to_json(self) -> dict[str, Any]:
        """Write for a staged file."""
        return {
            "requests": self.requests,
            "by_status": self.by_status,
            "retries": self.retries,
            "api_seconds": self.api_seconds,
            "started": self.started.isoformat() if self.started else None,
            "ended": self.ended.isoformat() if self.ended else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Usage:
        """Read what :meth:`to_json` wrote."""
        times = {
            name: datetime.fromisoformat(data[name]) if data[name] else None for name in ("started", "ended")
        }
        return cls(
            requests=data["requests"],
            by_status=data["by_status"],
            retries=data["retries"],
            api_seconds=data["api_seconds"],
            **times,
        )
