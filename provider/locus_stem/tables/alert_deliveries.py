"""What each webhook connection was told of which alert: the table ``_alert_deliveries``.

Pending is what the history holds and the connection was not told: nothing that is cleaned up can lose it.

A row is the last post of a state, and is there before it is sent: ``withdrawn_at`` and ``content`` (a digest) are what
is posted, ``number`` counts the posts. The same post keeps its number however often it is tried; what is told after it,
the same content once more included, has the next one. So a post is known again by content and number, even where a kill
or a lost answer left open whether it was taken. ``posted`` is true of a post that was taken, false of what was there
before the connection's first run, and null of what is yet to be taken; ``recorded`` says when it was taken, or was last
not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Transaction

from locus_stem.tables import commit
from locus_stem.tables.alert_contents import HISTORY, KEY, contents, digest, digests, rewritten
from locus_stem.tables.rows import with_values
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import different, upsert_into

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = ["Event", "Post", "begin_posts", "pending", "record_posts", "register"]

SPEC = SPECS["_alert_deliveries"]
ALERTS = "locus_alerts"

Row = dict[str, Any]
Rows = dict[tuple[int, "datetime"], Row]


@dataclass(frozen=True, slots=True)
class Event:
    """A state of an alert that a connection is to be told.

    :param newest: `updated` of the alert's newest state.
    :param failed_at: when the connection last didn't take a state of this alert; None: it has taken what it was sent.
    """

    alert_id: int
    updated: datetime
    withdrawn_at: datetime | None
    newest: datetime
    failed_at: datetime | None

    @property
    def key(self) -> tuple[int, datetime]:
        """Which state it is."""
        return self.alert_id, self.updated


@dataclass(frozen=True, slots=True)
class Post:
    """An event as it is posted.

    :param state: all columns of the history.
    :param content: the digest of these.
    :param number: counts the posts of the state to this connection.
    """

    event: Event
    state: Mapping[str, Any]
    content: str
    number: int


def register(lake: Lake, connection: str, now: datetime) -> int | None:
    """Begin with a connection: the states that there are now are known to it and never posted.

    :returns: how many these are; None where the connection has begun before
    """
    app_id = f"locus_alert_sync.registered.{connection}"

    def work(table: DeltaTable) -> int | None:
        if table.transaction_version(app_id) is not None:
            return None
        rows = _baseline(lake, connection, now)
        commit.append(table, rows, [Transaction(app_id, int(now.timestamp()))])
        return len(rows)

    return commit.exclusively(lake, SPEC.name, work)


def pending(lake: Lake, connection: str) -> list[Event]:
    """Return what the connection was not told, in the order of posting.

    That are states that it doesn't know, states whose content is another than it was told, and newest states whose
    ``withdrawn_at`` is. After one of these that isn't the newest the newest is told again: it has the last word. Alerts
    that it failed on come last, the longest ago first; the events of each alert are in order.
    """
    told, failed = _memory(lake, connection)
    states = _states(lake)
    newest = _newest(states)
    unknown = states.join(told.select(KEY), KEY, join_type="left anti")
    both = newest.join(told.select([*KEY, "told"]), KEY, join_type="inner")
    changed = both.filter(different(both.column("withdrawn_at"), both.column("told")))
    comparable = told.select([*KEY, "content"]).join(rewritten(lake), KEY, join_type="inner")
    compared = states.join(comparable, KEY, join_type="inner")
    found = [*_rows(unknown), *_rows(changed), *_with_other_content(lake, compared.to_pylist())]
    oldest: dict[int, datetime] = {}
    for row in found:
        oldest[row["alert_id"]] = min(row["updated"], oldest.get(row["alert_id"], row["updated"]))
    last = _rows(with_values(newest, "alert_id", oldest))
    again = [row for row in last if oldest[row["alert_id"]] < row["updated"]]
    last_updated = {row["alert_id"]: row["updated"] for row in last}
    events = {
        _key(row): Event(**row, newest=last_updated[row["alert_id"]], failed_at=failed.get(row["alert_id"]))
        for row in (*found, *again)
    }
    return sorted(events.values(), key=_order)


def _memory(lake: Lake, connection: str) -> tuple[pa.Table, dict[int, datetime]]:
    """Return what the connection was told (key, content, withdrawn_at as told), and when it last failed on an alert."""
    columns = [*KEY, "content", "withdrawn_at", "posted", "recorded"]
    rows = lake.read(SPEC.name, columns, [("connection", "=", connection)])
    is_told = rows.column("posted").is_valid()
    failures = rows.filter(pc.and_not(rows.column("recorded").is_valid(), is_told))
    latest = failures.group_by("alert_id").aggregate([("recorded", "max")])
    failed = dict(
        zip(latest.column("alert_id").to_pylist(), latest.column("recorded_max").to_pylist(), strict=True)
    )
    told = rows.filter(is_told).select([*KEY, "content", "withdrawn_at"])
    return told.rename_columns([*KEY, "content", "told"]), failed


def _rows(events: pa.Table) -> list[Row]:
    rows: list[Row] = events.select([*KEY, "withdrawn_at"]).to_pylist()
    return rows


def _with_other_content(lake: Lake, told: Sequence[Row]) -> Iterator[Row]:
    """Give the states whose content is another than it was told."""
    now = digests(lake, [_key(row) for row in told])
    for row in told:
        if row.pop("content") != now[_key(row)]:
            yield row


def _key(row: Mapping[str, Any]) -> tuple[int, datetime]:
    return row["alert_id"], row["updated"]


def _order(event: Event) -> tuple[bool, datetime, datetime, int]:
    failed_at = event.failed_at
    return failed_at is not None, failed_at or event.updated, event.updated, event.alert_id


def begin_posts(lake: Lake, connection: str, events: Sequence[Event]) -> list[Post]:
    """Note what is about to be posted, before it is: whatever is told after it is then known to be another post.

    Where an event isn't its alert's newest state and that one was posted before, it is noted too that the newest is to
    be told again.

    :param events: a few hundred of ``pending``, in its order
    :returns: the posts in the same order; an event that has become what the connection was told is left out
    """
    states = contents(lake, [event.key for event in events])
    posts: list[Post] = []

    def noted(known: Rows) -> Rows:
        posts.clear()
        changes: Rows = {}
        for event, state in zip(events, states, strict=True):
            row, content = known.get(event.key), digest(state)
            posted = {"content": content, "withdrawn_at": event.withdrawn_at}
            if row is None or not posted.items() <= row.items():
                row = _next(row or _never_posted(connection, event)) | posted
                changes[event.key] = known[event.key] = row
                newest = event.alert_id, event.newest
                if event.updated < event.newest and newest in known:
                    changes[newest] = known[newest] = _next(known[newest])
            elif row["posted"] is not None:
                continue
            posts.append(Post(event, state, content, row["number"]))
        return changes

    _change(lake, connection, {event.alert_id for event in events}, noted)
    return posts


def _never_posted(connection: str, event: Event) -> Row:
    key = {"connection": connection, "alert_id": event.alert_id, "updated": event.updated}
    return {**key, "number": 0, "posted": False, "recorded": None}


def _next(row: Row) -> Row:
    """Return the row of a state's next post; that the last one failed isn't forgotten."""
    failed_at = row["recorded"] if row["posted"] is None else None
    return {**row, "number": row["number"] + 1, "posted": None, "recorded": failed_at}


def record_posts(
    lake: Lake, connection: str, taken: Sequence[Post], failed: Sequence[Post], now: datetime
) -> None:
    """Record which posts the connection took, and which it didn't.

    Where another delivery has begun a later post of the state meanwhile, it isn't known which of both came last: the
    state is told once more.
    """
    outcomes = {post.event.key: (post, None) for post in failed} | {
        post.event.key: (post, True) for post in taken
    }

    def recorded(known: Rows) -> Rows:
        return {
            key: {**known[key], "posted": posted, "recorded": now}
            if known[key]["number"] == post.number
            else _next(known[key])
            for key, (post, posted) in outcomes.items()
        }

    _change(lake, connection, {alert_id for alert_id, _ in outcomes}, recorded)


def _change(lake: Lake, connection: str, alerts: Collection[int], change: Callable[[Rows], Rows]) -> None:
    """Write what `change` makes of the rows of some alerts, in one commit."""
    if not alerts:
        return
    among: list[Filter] = [("connection", "=", connection), ("alert_id", "in", sorted(alerts))]

    def work(table: DeltaTable) -> None:
        stored = pa.Table.from_batches(*lake.batches(table, list(SPEC.columns), among)).to_pylist()
        changes = change({_key(row): row for row in stored})
        if changes:
            rows = pa.Table.from_pylist(list(changes.values()), SPEC.schema())
            upsert_into(lake, table, SPEC.name, rows, among=among)

    commit.exclusively(lake, SPEC.name, work)


def _states(lake: Lake) -> pa.Table:
    """Return every state of the history, with its ``withdrawn_at`` where it is an alert's newest."""
    newest = lake.read(ALERTS, [*KEY, "withdrawn_at"])
    return lake.read(HISTORY, KEY).join(newest, KEY, join_type="left outer")


def _newest(states: pa.Table) -> pa.Table:
    """Return each alert's newest state by the history, which is written first: a sync may end after it."""
    last = states.group_by("alert_id").aggregate([("updated", "max")]).rename_columns(KEY)
    return states.join(last, KEY, join_type="inner")


def _baseline(lake: Lake, connection: str, now: datetime) -> pa.Table:
    """Return the rows of what there is, with the content of states that will be compared with it."""
    states = _states(lake)
    replaced = states.join(rewritten(lake), KEY, join_type="inner")
    held = digests(lake, [_key(row) for row in replaced.to_pylist()])
    contents_held = [dict(zip((*KEY, "content"), (*key, one), strict=True)) for key, one in held.items()]
    columns_held = pa.schema([(name, SPEC.columns[name]) for name in (*KEY, "content")])
    known = pa.Table.from_pylist(contents_held, columns_held)
    states = states.join(known, KEY, join_type="left outer")
    number = len(states)
    columns = {
        "connection": pa.repeat(connection, number),
        **{name: states.column(name) for name in (*KEY, "withdrawn_at", "content")},
        "number": pa.repeat(pa.scalar(0, SPEC.columns["number"]), number),
        "posted": pa.repeat(False, number),
        "recorded": pa.repeat(pa.scalar(now, SPEC.columns["recorded"]), number),
    }
    return pa.table(columns, schema=SPEC.schema())
