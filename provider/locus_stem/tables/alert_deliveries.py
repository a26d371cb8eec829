"""What each webhook connection was told of which alert: the table ``_alert_deliveries``.

Pending is what the history holds and the connection was not told: nothing that is cleaned up can lose it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import Transaction

from locus_stem.tables import commit
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import different, upsert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake

__all__ = ["contents", "pending", "record_posts", "register"]

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
        rows = _rows(connection, states, now, posted=False)
        commit.append(table, rows, [Transaction(app_id, int(now.timestamp()))])
        return len(rows)

    return commit.exclusively(lake, SPEC.name, work)


def pending(lake: Lake, connection: str) -> pa.Table:
    """Return what the connection was not told, in the order of posting: alert_id, updated, withdrawn_at.

    That are states that it doesn't know, and newest states whose ``withdrawn_at`` is another than it was told.
    """
    states = _states(lake)
    told = lake.read(SPEC.name, [*KEY, "withdrawn_at"], [("connection", "=", connection)])
    unknown = states.join(told.select(KEY), KEY, join_type="left anti")
    newest = lake.read(ALERTS, [*KEY, "withdrawn_at"])
    both = newest.join(told.rename_columns([*KEY, "told"]), KEY, join_type="inner")
    changed = both.filter(different(both.column("withdrawn_at"), both.column("told"))).drop_columns("told")
    return pa.concat_tables([unknown.select(changed.column_names), changed]).sort_by(
        [("updated", "ascending"), ("alert_id", "ascending")]
    )


def contents(lake: Lake, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return some pending events with all columns of their states, in the same order.

    :param events: a few hundred rows of ``pending``
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
    states = {(row["alert_id"], row["updated"]): row for row in stored}
    return [
        {**states[event["alert_id"], event["updated"]], "withdrawn_at": event["withdrawn_at"]}
        for event in events
    ]


def record_posts(lake: Lake, connection: str, events: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Record that the connection was told these events."""
    last = {(event["alert_id"], event["updated"]): event for event in events}
    if not last:
        return
    rows = [{name: event[name] for name in (*KEY, "withdrawn_at")} for event in last.values()]
    schema = pa.schema([pa.field(name, SPEC.columns[name]) for name in (*KEY, "withdrawn_at")])
    upsert(
        lake,
        SPEC.name,
        _rows(connection, pa.Table.from_pylist(rows, schema), now, posted=True),
        among=[
            ("connection", "=", connection),
            ("alert_id", "in", sorted({alert_id for alert_id, _ in last})),
        ],
    )


def _states(lake: Lake) -> pa.Table:
    """Return every state of the history, with its ``withdrawn_at`` where it is an alert's newest."""
    newest = lake.read(ALERTS, [*KEY, "withdrawn_at"])
    return lake.read(HISTORY, KEY).join(newest, KEY, join_type="left outer")


def _rows(connection: str, events: pa.Table, now: datetime, *, posted: bool) -> pa.Table:
    number = len(events)
    columns = {
        "connection": pa.repeat(connection, number),
        **{name: events.column(name) for name in (*KEY, "withdrawn_at")},
        "posted": pa.repeat(posted, number),
        "recorded": pa.repeat(pa.scalar(now, SPEC.columns["recorded"]), number),
    }
    return pa.table(columns, schema=SPEC.schema())
