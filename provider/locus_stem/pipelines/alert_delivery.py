"""Delivery of alerts to a webhook: each state at least once, in order for each alert, nothing lost while it is down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from locus_stem.pipelines.webhook_reply import Reply, Verdict
from locus_stem.tables.alert_deliveries import begin_posts, pending, record_posts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from locus_stem.tables.alert_deliveries import Event, Post
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: After so long a delivery ends; the next run goes on: it must not keep the next sync waiting.
LONGEST = 480.0
#: So many posts are noted at a time before the first of them, and recorded after the last, or after so many seconds: a
#: kill repeats at most that.
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
    return _Delivery(lake, connection, post, clock).run(seconds)


class _Delivery:
    """One delivery: what was taken and what wasn't since it was last recorded."""

    def __init__(
        self, lake: Lake, connection: str, post: Callable[[bytes, str], Reply], clock: Callable[[], float]
    ) -> None:
        self._lake, self._connection, self._post, self._clock = lake, connection, post, clock
        self._result = Delivered()
        self._taken: list[Post] = []
        self._failed: list[Post] = []
        self._recorded_at = clock()
        self._in_a_row: Counter[Verdict] = Counter()

    def run(self, seconds: float) -> Delivered:
        began = self._clock()
        events = pending(self._lake, self._connection)
        self._result.left = len(events)
        try:
            for post in self._posts(events):
                if post.event.alert_id in self._result.waiting:
                    continue
                if self._clock() - began >= seconds:
                    log.info("The time for one delivery is over; the next run goes on")
                    break
                if not self._goes_on(post, self._post(*_written(self._connection, post))):
                    break
                if self._taken and self._clock() - self._recorded_at >= RECORD_SECONDS:
                    self._record()
        finally:
            self._record()
        return self._result

    def _posts(self, events: Sequence[Event]) -> Iterator[Post]:
        """Give the posts of events; those that are given together are noted before and recorded after."""
        for first in range(0, len(events), RECORD_POSTS):
            some = [
                event
                for event in events[first : first + RECORD_POSTS]
                if event.alert_id not in self._result.waiting
            ]
            posts = begin_posts(self._lake, self._connection, some)
            self._result.left -= len(some) - len(posts)
            yield from posts
            self._record()

    def _goes_on(self, post: Post, reply: Reply) -> bool:
        """Take note of a reply; tell whether it makes sense to post more."""
        if reply.verdict is Verdict.TAKEN:
            self._in_a_row.clear()
            self._taken.append(post)
            return True
        event = post.event
        self._in_a_row[reply.verdict] += 1
        self._failed.append(post)
        if self._in_a_row[reply.verdict] < ENOUGH.get(reply.verdict, 1):
            self._result.waiting[event.alert_id] = reply.reason
            return True
        # An alert that failed before says nothing about the others, if some were taken.
        if event.failed_at is not None and self._result.posted + len(self._taken):
            self._result.waiting[event.alert_id] = reply.reason
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
        self._recorded_at = self._clock()


def _written(connection: str, post: Post) -> tuple[bytes, str]:
    """Return a post as a JSON body, and a key that is the same for this post however often it is tried, and no other.

    A content that is told once more, after another one, is another post: its receiver would drop it by the first's key.
    """
    values = {**post.state, "withdrawn_at": post.event.withdrawn_at}
    body = {
        name: value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in values.items()
    }
    told = json.dumps([connection, post.content, body["withdrawn_at"], post.number])
    return json.dumps(body, ensure_ascii=False).encode(), hashlib.sha256(told.encode()).hexdigest()
