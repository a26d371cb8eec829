"""Delivery of alerts to a webhook: each state at least once, in order for each alert, nothing lost while it is down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.pipelines.webhook_reply import Reply, Verdict
from locus_stem.tables.alert_deliveries import contents, pending, record_posts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: After so long a delivery ends; the next run goes on: it must not keep the next sync waiting.
LONGEST = 480.0
#: What is posted is recorded after so many posts or so many seconds: a kill repeats at most that.
RECORD_POSTS, RECORD_SECONDS = 100, 5.0


#: A webhook that answers so to so many alerts one after the other does so to all: no more are posted.
ENOUGH = {Verdict.FAILED: 3, Verdict.REFUSED: 20}


@dataclass(slots=True)
class Delivered:
    """What a delivery did.

    :param left: how many events are still to be posted, those of waiting alerts included.
    :param waiting: by alert id why it was not taken; with it wait the alert's later states.
    :param again: of those that wait one may be taken soon, as its reply says.
    :param stopped: the reply that ended it early; None: none did.
    """

    posted: int = 0
    left: int = 0
    waiting: dict[int, str] = field(default_factory=dict)
    again: bool = False
    stopped: Reply | None = None


def deliver_alerts(
    lake: Lake,
    connection: str,
    post: Callable[[bytes, str], Reply],
    *,
    seconds: float = LONGEST,
    clock: Callable[[], float] = time.monotonic,
) -> Delivered:
    """Post what the connection was not told yet: each alert's events in order, alerts that failed before last.

    An alert that isn't taken waits for the next run, and so do its later states; the other alerts go on.

    :param connection: id of the webhook's connection, which must have been registered.
    :param post: posts a JSON body with an idempotency key.
    :param seconds: after these no further post is begun.
    """
    return _Delivery(lake, connection, post).run(seconds, clock)


class _Delivery:
    """One delivery: what was taken and what wasn't since it was last recorded."""

    def __init__(self, lake: Lake, connection: str, post: Callable[[bytes, str], Reply]) -> None:
        self._lake, self._connection, self._post = lake, connection, post
        self._result = Delivered()
        self._taken: list[Mapping[str, Any]] = []
        self._failed: list[Mapping[str, Any]] = []
        #: Taken, but not to be recorded before the newest state was told again after them.
        self._late: dict[int, list[Mapping[str, Any]]] = {}
        self._in_a_row: Counter[Verdict] = Counter()

    def run(self, seconds: float, clock: Callable[[], float]) -> Delivered:
        began = recorded_at = clock()
        events = pending(self._lake, self._connection)
        self._result.left = len(events)
        told_again = {event["alert_id"] for event in events if event["after"] is not None}
        try:
            for event, body in _with_bodies(self._lake, events):
                if event["alert_id"] in self._result.waiting:
                    continue
                if clock() - began >= seconds:
                    log.info("The time for one delivery is over; the next run goes on")
                    break
                if not self._goes_on(event, self._post(*_written(body, event["told_before"])), told_again):
                    break
                if len(self._taken) >= RECORD_POSTS or (
                    self._taken and clock() - recorded_at >= RECORD_SECONDS
                ):
                    self._record()
                    recorded_at = clock()
        finally:
            self._record()
        return self._result

    def _goes_on(self, event: Mapping[str, Any], reply: Reply, told_again: Collection[int]) -> bool:
        """Take note of a reply; tell whether it makes sense to post more."""
        alert_id = event["alert_id"]
        if reply.verdict is Verdict.TAKEN:
            self._in_a_row.clear()
            if alert_id in told_again and event["after"] is None:
                self._late.setdefault(alert_id, []).append(event)
            else:
                self._taken += [*self._late.pop(alert_id, ()), event]
            return True
        self._in_a_row[reply.verdict] += 1
        self._failed.append(event)
        if self._in_a_row[reply.verdict] < ENOUGH.get(reply.verdict, 1):
            self._result.waiting[alert_id] = reply.reason
            return True
        # An alert that failed before says nothing about the others, if some were taken.
        if event["failed_at"] is not None and self._result.posted + len(self._taken):
            self._result.waiting[alert_id] = reply.reason
            self._result.again = reply.verdict is Verdict.UNAVAILABLE
        else:
            self._result.stopped = reply
        return False

    def _record(self) -> None:
        record_posts(self._lake, self._connection, self._taken, self._failed, datetime.now(UTC))
        self._result.posted += len(self._taken)
        self._result.left -= len(self._taken)
        self._taken.clear()
        self._failed.clear()


def _with_bodies(
    lake: Lake, events: Sequence[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for first in range(0, len(events), RECORD_POSTS):
        some = events[first : first + RECORD_POSTS]
        yield from zip(some, contents(lake, some), strict=True)


def _written(body: Mapping[str, Any], told_before: Sequence[datetime]) -> tuple[bytes, str]:
    """Return an event as a JSON body, and a key that is the same whenever this event is posted.

    :param told_before: of a content that was told once and is told again after another one: its key is another, or its
        receiver would drop it.
    """
    values = {
        name: value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in body.items()
    }
    # A column that was added since the first post doesn't change the key.
    content = {name: value for name, value in values.items() if value is not None}
    told = json.dumps(content, sort_keys=True) + "".join(map(str, told_before))
    return json.dumps(values, ensure_ascii=False).encode(), hashlib.sha256(told.encode()).hexdigest()
