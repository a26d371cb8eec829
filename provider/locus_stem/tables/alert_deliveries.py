"""What each webhook connection was told of which alert: the table ``_alert_deliveries``.

Pending is what the history holds and the connection was not told: nothing that is cleaned up can lose it. ``posted`` is
true of what it was told, false of what was there before its first run, and null of what it didn't take, or is to be
told again; ``recorded`` says when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Transaction

from locus_stem.tables import commit
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import different, upsert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["contents", "pending", "record_posts", "register", "reopen"]

SPEC = SPECS["_alert_deliveries"]
HISTORY, ALERTS = "locus_alert_history", "locus_alerts"
KEY = ["alert_id", "updated"]


def register(lake: Lake, connection: str, now: datetime) -> int | None:
    """Begin with a connection: the states that there are now are known to it and never posted.

    :returns: how many these are; None where the connection has begun before
    """
    app_id = f"locus_alert_sync.registered.{connection}"

    def work(table: DeltaTable) -> int | None:
        if table.transaction_version(app_id) is not None:
            return None
        states = _states(lake)
        rows = _baseline(connection, states, now)
        commit.append(table, rows, [Transaction(app_id, int(now.timestamp()))])
        return len(rows)

    return commit.exclusively(lake, SPEC.name, work)


def pending(lake: Lake, connection: str) -> list[dict[str, Any]]:
    """Return what the connection was not told, in the order of posting.

    That are states that it doesn't know, and newest states whose ``withdrawn_at`` is another than it was told. Alerts
    that it failed on come last, the longest ago first; the events of each alert are in order.

    :returns: of each event ``alert_id``, ``updated``, ``withdrawn_at``; ``failed_at``, when it last didn't take an
        event of this alert, or None; ``after``: None, or the `updated` of an older state of which the lake learned late
        (the event is the newest state, told again so that it has the last word); and ``told_before``: what was told in
        between, of an event whose content may have been told before
    """
    told, failed = _memory(lake, connection)
    newest = lake.read(ALERTS, [*KEY, "withdrawn_at"])
    unknown = _states(lake).join(told.select(KEY), KEY, join_type="left anti")
    both = newest.join(told.rename_columns([*KEY, "told"]), KEY, join_type="inner")
    changed = both.filter(different(both.column("withdrawn_at"), both.column("told")))
    events = {
        _key(event): {**event, "after": None, "told_before": []}
        for event in unknown.select([*KEY, "withdrawn_at"]).to_pylist()
    }
    for event in changed.to_pylist():
        before = event.pop("told")
        events[_key(event)] = {**event, "after": None, "told_before": [before] if before else []}
    for event in _told_again(told, unknown, newest):
        events.setdefault(_key(event), event)
    for event in events.values():
        event["failed_at"] = failed.get(event["alert_id"])
    return sorted(events.values(), key=_order)


def _memory(lake: Lake, connection: str) -> tuple[pa.Table, dict[int, datetime]]:
    """Return what the connection was told (key, withdrawn_at), and when it last failed on an alert."""
    rows = lake.read(
        SPEC.name, [*KEY, "withdrawn_at", "posted", "recorded"], [("connection", "=", connection)]
    )
    is_told = rows.column("posted").is_valid()
    failures = rows.filter(pc.and_not(rows.column("recorded").is_valid(), is_told))
    latest = failures.group_by("alert_id").aggregate([("recorded", "max")])
    failed = dict(
        zip(latest.column("alert_id").to_pylist(), latest.column("recorded_max").to_pylist(), strict=True)
    )
    return rows.filter(is_told).select([*KEY, "withdrawn_at"]), failed


def _told_again(told: pa.Table, unknown: pa.Table, newest: pa.Table) -> Iterator[dict[str, Any]]:
    """Give the newest states of alerts of which an older state came late."""
    last = told.group_by("alert_id").aggregate([("updated", "max")])
    late = unknown.select(KEY).join(last, "alert_id", join_type="inner")
    late = late.filter(pc.less(late.column("updated"), late.column("updated_max")))
    after = late.group_by("alert_id").aggregate([("updated", "max")]).rename_columns(["alert_id", "after"])
    for event in newest.join(after, "alert_id", join_type="inner").to_pylist():
        yield {**event, "told_before": [event["after"]]}


def _key(event: Mapping[str, Any]) -> tuple[int, datetime]:
    return event["alert_id"], event["updated"]


def _order(event: Mapping[str, Any]) -> tuple[bool, datetime, datetime, int]:
    failed_at = event["failed_at"]
    return failed_at is not None, failed_at or event["updated"], event["updated"], event["alert_id"]


def contents(lake: Lake, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the bodies of some pending events, in the same order: all columns of their states, and withdrawn_at.

    :param events: a few hundred of ``pending``
    """
    if not events:
        return []
    updates = [event["updated"] for event in events]
    stored = lake.read(
        HISTORY,
        filters=[
            ("alert_id", "in", sorted({event["alert_id"] for event in events})),
            ("updated", ">=", min(updates)),
            ("updated", "<=", max(updates)),
        ],
    ).to_pylist()
    states = {_key(row): row for row in stored}
    return [{**states[_key(event)], "withdrawn_at": event["withdrawn_at"]} for event in events]


def record_posts(
    lake: Lake,
    connection: str,
    taken: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Record which events the connection was told, and which it didn't take."""
    outcomes = {_key(event): (event, None) for event in failed} | {
        _key(event): (event, True) for event in taken
    }
    if not outcomes:
        return
    rows = [
        {
            "connection": connection,
            **{name: event[name] for name in (*KEY, "withdrawn_at")},
            "posted": posted,
            "recorded": now,
        }
        for event, posted in outcomes.values()
    ]
    ids = sorted({alert_id for alert_id, _ in outcomes})
    upsert(
        lake,
        SPEC.name,
        pa.Table.from_pylist(rows, SPEC.schema()),
        among=[("connection", "=", connection), ("alert_id", "in", ids)],
    )


def reopen(lake: Lake, states: Collection[tuple[int, datetime]]) -> None:
    """Make states pending again for every connection: the API now shows another content with the same ``updated``."""
    if not states or lake.open(SPEC.name) is None:
        return
    among: list[Filter] = [("alert_id", "in", sorted({alert_id for alert_id, _ in states}))]
    rows = [row for row in lake.read(SPEC.name, filters=among).to_pylist() if _key(row) in states]
    again = [{**row, "posted": None, "recorded": None} for row in rows]
    if again:
        upsert(lake, SPEC.name, pa.Table.from_pylist(again, SPEC.schema()), among=among)


def _states(lake: Lake) -> pa.Table:
    """Return every state of the history, with its ``withdrawn_at`` where it is an alert's newest."""
    newest = lake.read(ALERTS, [*KEY, "withdrawn_at"])
    return lake.read(HISTORY, KEY).join(newest, KEY, join_type="left outer")


def _baseline(connection: str, states: pa.Table, now: datetime) -> pa.Table:
    number = len(states)
    columns = {
        "connection": pa.repeat(connection, number),
        **{name: states.column(name) for name in (*KEY, "withdrawn_at")},
        "posted": pa.repeat(False, number),
        "recorded": pa.repeat(pa.scalar(now, SPEC.columns["recorded"]), number),
    }
    return pa.table(columns, schema=SPEC.schema())
