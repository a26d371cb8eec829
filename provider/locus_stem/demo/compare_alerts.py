"""Hold the alert tables, and what a webhook was told, against what the sandbox holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.demo.compare import Difference
from locus_stem.planning.alerts import OVERLAP
from locus_stem.sandbox.fleet import Fleet
from locus_stem.tables.alerts import CURSOR, remembered
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from locus_stem.demo.webhook import Post
    from locus_stem.tables.lake import Lake

#: A first sync brings what was open in so many days before it.
FIRST_SYNC = timedelta(days=31)

State = dict[str, Any]


def alerts(lake: Lake, fleet: Fleet, webhook: Sequence[Post]) -> list[Difference]:
    """Compare newest states with the sandbox's at the last sync, the history with them, and the posts with it."""
    newest = {row["alert_id"]: row for row in lake.read("locus_alerts").to_pylist()}
    history = {(row["alert_id"], row["updated"]): row for row in lake.read("locus_alert_history").to_pylist()}
    return [_newest(lake, fleet, newest), _history(history, newest), _posts(webhook, history)]


def _newest(lake: Lake, fleet: Fleet, rows: dict[int, State]) -> Difference:
    cursor = remembered(lake.open("locus_alerts"), CURSOR)
    assert cursor is not None, "no sync has ended"  # noqa: S101
    # The sync asked within a second: an alert may have changed in it.
    asked = cursor + OVERLAP
    before, after = _truth(fleet, asked), _truth(fleet, asked + timedelta(seconds=2))
    due = {
        number: state
        for number, state in before.items()
        if state.get("end") is None or state["end"] >= asked - FIRST_SYNC + timedelta(hours=1)
    }
    found = Difference("locus_alerts", rows=len(rows), due=len(due))
    for number, row in rows.items():
        held = {name: value for name, value in row.items() if value is not None}
        if held not in (before.get(number), after.get(number)):
            found.note(f"{held} where the API has {before.get(number)}")
    for number in due.keys() - rows.keys():
        found.note(f"{number} is missing")
    return found


def _truth(fleet: Fleet, now: datetime) -> dict[int, State]:
    then = Fleet(fleet.sites, fleet.seed, now, partner_id=fleet.partner_id)
    return {
        one["id"]: {"alert_id" if name == "id" else snake_case(name): value for name, value in one.items()}
        for one in then.truth_alerts()
    }


def _history(history: dict[tuple[int, datetime], State], newest: dict[int, State]) -> Difference:
    found = Difference("locus_alert_history", rows=len(history), due=len(newest))
    last = {number: history[number, updated] for number, updated in sorted(history)}
    for number, row in newest.items():
        if {**last.get(number, {}), "withdrawn_at": row["withdrawn_at"]} != row:
            found.note(f"{number}: the last state is {last.get(number)}, the newest {row}")
    return found


def _posts(webhook: Sequence[Post], history: dict[tuple[int, datetime], State]) -> Difference:
    found = Difference("posts to the webhook", rows=len(webhook), due=len(history))
    told: dict[int, list[datetime]] = {}
    for post in webhook:
        told.setdefault(post.alert["alert_id"], []).append(datetime.fromisoformat(post.alert["updated"]))
        if not post.key:
            found.note(f"{post.alert}: without a key")
    for number, times in told.items():
        if times != sorted(times):
            found.note(f"{number} was told out of order: {times}")
    for number, updated in history.keys() - {(number, at) for number, times in told.items() for at in times}:
        found.note(f"alert {number} of {updated} was not posted")
    return found
