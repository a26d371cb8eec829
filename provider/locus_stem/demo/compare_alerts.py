"""Hold the alert tables, and what a webhook was told, against what the sandbox holds."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.demo.compare import Difference
from locus_stem.planning.alerts import OVERLAP
from locus_stem.tables.alerts import CURSOR, remembered
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from locus_stem.demo.webhook import Post
    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.tables.lake import Lake

#: A first sync brings what was open in so many days before it.
FIRST_SYNC = timedelta(days=31)
#: What surely is among these.
BROUGHT = FIRST_SYNC - timedelta(hours=1)

State = dict[str, Any]


def alerts(
    lake: Lake,
    fleet: Fleet,
    webhook: Sequence[Post] | None,
    asked: datetime | None = None,
    earlier: Sequence[datetime] = (),
) -> list[Difference]:
    """Compare newest states with the sandbox's at the last sync, the history with them, and the posts with it.

    :param webhook: what was posted; None: nobody listened.
    :param asked: when the last sync asked, by the sandbox's clock; None: as the cursor says.
    :param earlier: when syncs before it asked: the history has what each alert was then.
    """
    newest = {row["alert_id"]: row for row in lake.read("locus_alerts").to_pylist()}
    history = {(row["alert_id"], row["updated"]): row for row in lake.read("locus_alert_history").to_pylist()}
    if asked is None:
        cursor = remembered(lake.open("locus_alerts"), CURSOR)
        assert cursor is not None, "no sync has ended"  # noqa: S101
        asked = cursor + OVERLAP
    told = {state for moment in earlier for state in _told(fleet, moment, newest)}
    found = [_newest(fleet, newest, asked), _history(history, newest, told)]
    return found if webhook is None else [*found, _posts(webhook, history)]


def _newest(fleet: Fleet, rows: dict[int, State], asked: datetime) -> Difference:
    # The sync asked within a second: an alert may have changed in it. Those that ended within an hour of the first
    # sync's edge are due where they are held.
    before, after = _truth(fleet, asked), _truth(fleet, asked + timedelta(seconds=2))
    due = {number for number, state in before.items() if number in rows or _is_brought(state, asked)}
    found = Difference("locus_alerts", rows=len(rows), due=len(due))
    for number, row in rows.items():
        held = {name: value for name, value in row.items() if value is not None}
        withdrawn = held.pop("withdrawn_at", None)
        if withdrawn is not None:
            if number in before and number in after:
                found.note(f"{number} was withdrawn, and the API has it")
        elif held not in (before.get(number), after.get(number)):
            found.note(f"{held} where the API has {before.get(number)}")
    for number in due - rows.keys():
        found.note(f"{number} is missing")
    return found


def _truth(fleet: Fleet, now: datetime) -> dict[int, State]:
    return {
        one["id"]: {
            "alert_id" if name == "id" else snake_case(name): json.dumps(value, ensure_ascii=False)
            if isinstance(value, dict)
            else value
            for name, value in one.items()
        }
        for one in fleet.at(now).truth_alerts()
    }


def _is_brought(state: State, asked: datetime) -> bool:
    """Whether a first sync that asked then has surely brought an alert."""
    return state.get("end") is None or state["end"] >= asked - BROUGHT


def _told(fleet: Fleet, asked: datetime, newest: dict[int, State]) -> Iterator[tuple[int, datetime]]:
    """Name the states that a sync has been told, by number of the alert and time of the change."""
    for number, state in _truth(fleet, asked).items():
        if number in newest and _is_brought(state, asked):
            yield number, state["updated"]


def _history(
    history: dict[tuple[int, datetime], State],
    newest: dict[int, State],
    told: set[tuple[int, datetime]],
) -> Difference:
    found = Difference("locus_alert_history", rows=len(history), due=len(newest))
    for number, updated in told - history.keys():
        found.note(f"{number}: what it was from {updated} on is missing")
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
