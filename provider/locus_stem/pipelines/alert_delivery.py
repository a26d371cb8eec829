"""Delivery of alerts to a webhook: each state at least once, in order for each alert, nothing lost while it is down."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from locus_stem.tables.alert_deliveries import contents, pending, record_posts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: After so long a delivery ends; the next run goes on: it must not keep the next sync waiting.
LONGEST = 480.0
#: What is posted is recorded after so many posts or so many seconds: a kill repeats at most that.
RECORD_POSTS, RECORD_SECONDS = 100, 5.0


class Verdict(Enum):
    """What an answer, or none, means for a delivery."""

    TAKEN = "taken"
    REFUSED = "this alert is refused"
    FAILED = "the webhook failed on this alert"
    UNAVAILABLE = "it may work later"
    WRONG = "nothing will be taken before somebody changes the connection"


#: A webhook that answers so to so many alerts one after the other does so to all: no more are posted.
ENOUGH = {Verdict.FAILED: 3, Verdict.REFUSED: 20}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one post; the reason holds no secret."""

    verdict: Verdict
    reason: str = ""

    @classmethod
    def of_status(cls, status: int) -> Reply:
        """Read an HTTP status."""
        reason = f"HTTP {status}"
        if 200 <= status < 300:
            return cls(Verdict.TAKEN, reason)
        if status in {408, 425, 429, 502, 503, 504}:
            return cls(Verdict.UNAVAILABLE, reason)
        if status >= 500:
            return cls(Verdict.FAILED, reason)
        if 300 <= status < 400:
            return cls(Verdict.WRONG, f"{reason}, a redirect, which is not followed")
        if status in {401, 403, 404, 405, 407, 410}:
            return cls(Verdict.WRONG, reason)
        return cls(Verdict.REFUSED, reason)


@dataclass(slots=True)
class Delivered:
    """What a delivery did.

    :param left: how many events are still to be posted, those of waiting alerts included.
    :param waiting: by alert id why it was not taken; with it wait the alert's later states.
    :param stopped: the reply that ended it early; None: none did.
    """

    posted: int = 0
    left: int = 0
    waiting: dict[int, str] = field(default_factory=dict)
    stopped: Reply | None = None


def deliver_alerts(
    lake: Lake,
    connection: str,
    post: Callable[[bytes, str], Reply],
    *,
    seconds: float = LONGEST,
    clock: Callable[[], float] = time.monotonic,
) -> Delivered:
    """Post what the connection was not told yet, ordered by `updated`.

    An alert that isn't taken waits for the next run, and so do its later states; the other alerts go on.

    :param connection: id of the webhook's connection, which must have been registered.
    :param post: posts a JSON body with an idempotency key.
    :param seconds: after these no further post is begun.
    """
    result = Delivered()
    began = clock()
    events = pending(lake, connection).to_pylist()
    result.left = len(events)
    in_a_row: Counter[Verdict] = Counter()
    told: list[Mapping[str, Any]] = []
    recorded_at = began
    try:
        for event in _with_contents(lake, events):
            if event["alert_id"] in result.waiting:
                continue
            if clock() - began >= seconds:
                log.info("The time for one delivery is over; the next run goes on")
                break
            body, key = _written(event)
            reply = post(body, key)
            in_a_row[reply.verdict] += 1
            if reply.verdict is Verdict.TAKEN:
                in_a_row.clear()
                told.append(event)
            elif in_a_row[reply.verdict] < ENOUGH.get(reply.verdict, 1):
                result.waiting[event["alert_id"]] = reply.reason
            else:
                result.stopped = reply
                break
            if len(told) >= RECORD_POSTS or (told and clock() - recorded_at >= RECORD_SECONDS):
                _record(lake, connection, told, result)
                recorded_at = clock()
    finally:
        _record(lake, connection, told, result)
    return result


def _record(lake: Lake, connection: str, told: list[Mapping[str, Any]], result: Delivered) -> None:
    record_posts(lake, connection, told, datetime.now(UTC))
    result.posted += len(told)
    result.left -= len(told)
    told.clear()


def _with_contents(lake: Lake, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for first in range(0, len(events), RECORD_POSTS):
        yield from contents(lake, events[first : first + RECORD_POSTS])


def _written(event: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return an event as a JSON body, and a key that is the same whenever this content is posted."""
    values = {
        name: value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in event.items()
    }
    # A column that was added since the first post doesn't change the key.
    content = json.dumps({name: value for name, value in values.items() if value is not None}, sort_keys=True)
    return json.dumps(values, ensure_ascii=False).encode(), hashlib.sha256(content.encode()).hexdigest()
