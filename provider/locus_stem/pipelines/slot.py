"""A turn in the API's slot: how long a task may hold it, what it used it for, how far it is."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from locus_stem.api.answer import Answer
    from locus_stem.api.client import LocusClient, StemClient
    from locus_stem.api.endpoint import Call
    from locus_stem.api.errors import ApiError
    from locus_stem.api.pipeline import Outcome

log = logging.getLogger(__name__)

#: Seconds after which a task gives its slot back; others wait for it (an alert sync at most three minutes).
TURN_SECONDS = 100.0
#: Seconds after which a call that fails is set aside, so that it doesn't keep others from being asked.
SET_ASIDE_SECONDS = 15.0
#: Seconds between two lines of progress.
PROGRESS_SECONDS = 20.0


class UnansweredError(RuntimeError):
    """The API has failed all the time that a task may hold the slot.

    :param error: the last failure.
    """

    def __init__(self, what: str, usage: Usage, error: ApiError | None = None) -> None:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(usage.by_status.items()))
        last = f"; the last failure: {error.problem}" if error is not None else ""
        super().__init__(
            f"{what}: no answer in {usage.wall_seconds:.0f} s ({statuses or 'nothing came back'}{last}). Run the task "
            "again later; if it stays so, check the connection's host, then tell the vendor's support"
        )


@dataclass(slots=True)
class Turn:
    """One turn of a task in the slot.

    :param client: whose requests are counted.
    :param seconds: after these no request of this turn is begun and no wait goes on.
    :param wait_left: seconds of the API's own wait that the turn's end cut off.
    :param set_aside: seconds after which a call that fails is set aside.
    :param cut_off: the call that was to be asked again when the turn ended, and why.
    :param endpoints: paths of the endpoints that were asked.
    """

    client: LocusClient | StemClient
    seconds: float = TURN_SECONDS
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    wait_left: float = 0.0
    set_aside: float = SET_ASIDE_SECONDS
    cut_off: tuple[Call, ApiError] | None = None
    endpoints: set[str] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    _usage_from: datetime = field(default_factory=lambda: datetime.now(UTC))

    def over(self) -> bool:
        """Whether the slot is to be given back."""
        return time.monotonic() - self._began >= self.seconds

    @property
    def last_error(self) -> ApiError | None:
        """Why the call that was asked last is to be asked again."""
        return self.cut_off[1] if self.cut_off else None

    def answers(self, calls: Iterable[Call]) -> Iterator[Outcome]:
        """Ask until the calls or the turn end: then no wait goes on, and calls without an outcome are left.

        A call that fails is an outcome after :attr:`set_aside` seconds.

        :raises FatalError: nothing more will work.
        :raises RetriableError: a call is to be sent much later.
        """
        return self._answers(calls, self.set_aside)

    def _answers(
        self, calls: Iterable[Call], set_aside: float | None, at_least: float = 0.0
    ) -> Iterator[Outcome]:
        with Pipeline(self.client, self._noted(calls), set_aside=set_aside) as pipeline:
            left = self._began + self.seconds - time.monotonic()
            alarm = threading.Timer(max(at_least, left), pipeline.close)
            alarm.daemon = True
            alarm.start()
            try:
                yield from pipeline
            finally:
                alarm.cancel()
                self.wait_left, self.cut_off = pipeline.wait_left, pipeline.cut_off or self.cut_off

    def _noted(self, calls: Iterable[Call]) -> Iterator[Call]:
        for call in calls:
            self.endpoints.add(call.endpoint.path)
            yield call

    def answer(self, call: Call, *, set_aside: float | None = None, at_least: float = 0.0) -> Answer:
        """Ask one call.

        :param set_aside: seconds for which it is asked again where it fails; None: for the client's budget.
        :param at_least: seconds that it is given where the turn ends sooner.
        :raises RefusedError: it is refused.
        :raises RetriableError: it still failed then.
        :raises UnansweredError: the API kept failing until the turn's end.
        """
        for outcome in self._answers([call], set_aside, at_least):
            if outcome.error is not None:
                raise outcome.error
            if outcome.answer is not None:
                return outcome.answer
        raise UnansweredError(call.path, self.usage(), self.last_error)

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
