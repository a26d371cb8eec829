"""A ticketing system in memory, which does what the documentation tells receivers to do, and alerts for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.pipelines.webhook_reply import Reply, Verdict
from locus_stem.tables.alerts import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.tables.lake import Lake

NOW = datetime(2025, 3, 1, 12, 7, 30, 250_000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Receiver:
    """Notes every post that it takes, and drops those whose key it has; ``answers`` decides, by alert id, what it says.

    :ivar view: what it holds of each alert: the last post that it didn't drop.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.view: dict[int, dict[str, Any]] = {}
        self.calls = 0
        self.answers: Callable[[int], Reply] = lambda alert_id: Reply.of_status(200)

    def __call__(self, body: bytes, key: str) -> Reply:
        self.calls += 1
        event = json.loads(body)
        reply = self.answers(event["alert_id"])
        if reply.verdict is Verdict.TAKEN:
            self.take(event, key)
        return reply

    def take(self, event: dict[str, Any], key: str) -> None:
        if key not in self.keys:
            self.view[event["alert_id"]] = event
        self.taken.append(event)
        self.keys.append(key)

    def events(self) -> list[tuple[int, str, str | None]]:
        """What was taken, repeats left out."""
        seen = [(event["alert_id"], event["updated"], event["withdrawn_at"]) for event in self.taken]
        return list(dict.fromkeys(seen))


def state(alert_id: int, minutes: int, *, asked: int | None = None, **columns: Any) -> State:
    """Give a state of an alert that was updated, and asked for, so many minutes after NOW."""
    updated = NOW + minutes * MINUTE
    row = {"alert_id": alert_id, "updated": updated, "start": NOW, "site_name": "Süd", **columns}
    return State(alert_id, updated, updated if asked is None else NOW + asked * MINUTE, row)


def at(minutes: int) -> str:
    return written(NOW + minutes * MINUTE)


def written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def newest(lake: Lake) -> dict[int, dict[str, Any]]:
    """Give the lake's newest states by alert, as they are posted."""
    return {
        row["alert_id"]: {
            name: written(value) if isinstance(value, datetime) else value for name, value in row.items()
        }
        for row in lake.read("locus_alerts").to_pylist()
    }
