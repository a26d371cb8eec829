"""The alert tables: every state that was shown, the newest one of each alert, and how far the sync has read.

What the sync knows of itself (instants in seconds since 1970) are application transactions of the table
``locus_alerts``: they are in the commit that wrote the alerts, so that both can't disagree.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Transaction

from locus_stem.api.shown import shown
from locus_stem.planning.timestamps import parse_instant
from locus_stem.tables import commit
from locus_stem.tables.alert_contents import note_rewritten
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.objects import object_row, usable_key
from locus_stem.tables.rows import with_values, without_values
from locus_stem.tables.schemas import SPECS
from locus_stem.tables.upsert import upsert, upsert_into
from locus_stem.tables.values import LONGEST_TEXT, table_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deltalake import DeltaTable

    from locus_stem.tables.lake import Lake
    from locus_stem.tables.sql import Filter

__all__ = [
    "Check",
    "Known",
    "Loaded",
    "Read",
    "State",
    "known_alerts",
    "load_alerts",
    "open_alerts",
    "read_states",
    "remember",
]

log = logging.getLogger(__name__)

ALERTS, HISTORY = SPECS["locus_alerts"], SPECS["locus_alert_history"]
CURSOR = "locus_alert_sync.cursor"
CHECKED = "locus_alert_sync.open_alerts"
#: Above so many ids rows are looked for between the lowest and the highest.
IN_LIST = 1000
#: States, and characters of their texts, that are loaded at once; of more the rest follows, the cursor with the last.
MOST_STATES, MOST_TEXT = 10_000, 8 * 2**20
#: Alerts that are marked as withdrawn at once: two columns of them.
MOST_WITHDRAWN = 25_000
#: How far the vendor's clock may be ahead of ours.
FARTHEST_AHEAD = timedelta(days=1)
NAMED = 10


@dataclass(frozen=True, slots=True)
class State:
    """One state of an alert, as it was answered.

    :param row: the columns of `locus_alert_history`.
    :param asked_at: own clock when it was asked for.
    """

    alert_id: int
    updated: datetime
    asked_at: datetime
    row: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Known:
    """What the lake knows before a sync.

    :param cursor: every change before it is loaded; None: nothing is.
    :param checked: when open alerts were last asked for.
    :param open: `alert_id` and `updated` of the alerts that are open and not withdrawn.
    """

    cursor: datetime | None
    checked: datetime | None
    open: pa.Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: every change from `begin` (None: from the beginning) on before `mark`."""

    begin: datetime | None
    mark: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """A look at all open alerts.

    :param at: own clock when they were asked for.
    :param absent: `alert_id` and `updated` of those that were known to be open before, and were not shown.
    """

    at: datetime
    absent: pa.Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load changed, and the cursor after it."""

    history: LoadCounts = field(default_factory=LoadCounts)
    alerts: LoadCounts = field(default_factory=LoadCounts)
    cursor: datetime | None = None


def known_alerts(lake: Lake) -> Known:
    """Read how far the sync has come and which alerts are open."""
    table = lake.open(ALERTS.name)
    if table is None:
        return Known(None, None, open_alerts({}))
    return Known(remembered(table, CURSOR), remembered(table, CHECKED), _open(lake, table))


def open_alerts(updated: Mapping[int, datetime]) -> pa.Table:
    """Give open alerts, `updated` by id, as they are read."""
    columns = {"alert_id": list(updated), "updated": list(updated.values())}
    return pa.table(columns, pa.schema([(name, ALERTS.columns[name]) for name in columns]))


def remembered(table: DeltaTable | None, what: str) -> datetime | None:
    """Return an instant that was remembered in the table's log."""
    seconds = None if table is None else table.transaction_version(what)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def remember(lake: Lake, what: str, moment: datetime) -> None:
    """Remember an instant in the log of `locus_alerts`, to the second."""

    def work(table: DeltaTable) -> None:
        if remembered(table, what) != moment.replace(microsecond=0):
            commit.append(
                table, pa.schema(table.schema().to_arrow()).empty_table(), [_transaction(what, moment)]
            )

    commit.exclusively(lake, ALERTS.name, work)


def read_states(objects: Iterable[Mapping[str, Any]], asked_at: datetime) -> tuple[list[State], list[int]]:
    """Read answered alert objects; times without an offset are in UTC, the zone that is asked.

    :returns: the states, and the ids of objects that can't be kept (0 where even the id can't be read): they are
        said in the log
    """
    states, unreadable = [], []
    for one in objects:
        alert_id = 0
        row = object_row(HISTORY, one)
        try:
            alert_id = row["alert_id"] = _id(row.get("alert_id"))
            updated = row["updated"] = parse_instant(row.get("updated") or "")
            if updated > asked_at + FARTHEST_AHEAD:  # it would stay the newest state for ever
                raise ValueError(f"updated {updated.isoformat()} is yet to come")  # noqa: TRY301
            for name in ("start", "end"):
                if row.get(name) is not None:
                    row[name] = parse_instant(row[name])
        except (TypeError, ValueError, OverflowError) as error:
            unreadable.append(alert_id)
            if len(unreadable) <= NAMED:
                log.warning(
                    "alert %s isn't stored, it can't be read: %s", shown(one.get("id")), shown(str(error))
                )
            continue
        states.append(State(alert_id, updated, asked_at, row))
    return states, unreadable


def load_alerts(
    lake: Lake, states: Sequence[State], *, read: Read | None = None, check: Check | None = None
) -> Loaded:
    """Write states into the history, and then the newest of each alert; the cursor is in the last commit.

    A stored state is replaced only by one that isn't older. The cursor moves to ``read.mark`` if that is later and
    nothing lies unread between it and ``read.begin``. An alert that the check missed gets ``withdrawn_at``, if it is
    still as it was; one that is shown again loses it.
    """
    withdrawn = _withdraw(lake, check, {state.alert_id for state in states}) if check else LoadCounts()
    *first, last = _portions(states) or [[]]
    loaded = Loaded(alerts=withdrawn)
    for some in first:
        done = _load(lake, some, None, None)
        loaded = Loaded(loaded.history + done.history, loaded.alerts + done.alerts)
    done = _load(lake, last, read, check)
    return Loaded(loaded.history + done.history, loaded.alerts + done.alerts, done.cursor)


def _portions(states: Sequence[State]) -> list[list[State]]:
    """Cut states into what is loaded at once: an alert's older ones first, those of few alerts together."""
    portions: list[list[State]] = []
    text = 0
    for state in sorted(states, key=lambda one: (one.alert_id, one.updated, one.asked_at)):
        length = sum(_length(value) for value in state.row.values())
        if not portions or len(portions[-1]) >= MOST_STATES or text + length > MOST_TEXT:
            portions.append([])
            text = 0
        portions[-1].append(state)
        text += length
    return portions


def _length(value: Any) -> int:
    """Give the characters of a value, as many as can be stored of one that is written as JSON."""
    if isinstance(value, dict | list):
        return LONGEST_TEXT
    return min(len(value), LONGEST_TEXT) if isinstance(value, str) else 0


def _load(lake: Lake, states: Sequence[State], read: Read | None, check: Check | None) -> Loaded:
    history = _write_history(lake, states)
    newest = {state.alert_id: state for state in states}
    among = _with_ids(newest)

    def work(table: DeltaTable) -> Loaded:
        stored = _known_states(lake, table, newest)
        rows: list[Mapping[str, Any]] = [
            {**state.row, "withdrawn_at": _still_withdrawn(state, stored.get(alert_id))}
            for alert_id, state in newest.items()
            if alert_id not in stored or stored[alert_id]["updated"] <= state.updated
        ]
        cursor, transactions = _moved(remembered(table, CURSOR), read), []
        if cursor is not None:
            transactions.append(_transaction(CURSOR, cursor))
        if check is not None:
            transactions.append(_transaction(CHECKED, check.at))
        given = table_of(ALERTS, rows, pa.schema(table.schema().to_arrow()))
        counts = upsert_into(lake, table, ALERTS.name, given, among=among, transactions=transactions)
        return Loaded(history, counts, cursor or remembered(table, CURSOR))

    return commit.exclusively(lake, ALERTS.name, work)


def _withdraw(lake: Lake, check: Check, shown: Collection[int]) -> LoadCounts:
    """Mark what a check missed and nothing has shown since; a check that is cut off here is made again."""
    absent = without_values(check.absent, "alert_id", shown).sort_by("alert_id")
    counts = LoadCounts()
    for low in range(0, len(absent), MOST_WITHDRAWN):
        some = absent.slice(low, MOST_WITHDRAWN)

        def work(table: DeltaTable, some: pa.Table = some) -> LoadCounts:
            among = _with_ids(some.column("alert_id").to_pylist())
            stored = _open(lake, table, among).rename_columns(["alert_id", "stored"])
            both = some.join(stored, "alert_id", join_type="inner")
            gone = both.filter(pc.equal(both.column("updated"), both.column("stored"))).column("alert_id")
            given = pa.table(
                {
                    "alert_id": gone,
                    "withdrawn_at": pa.repeat(pa.scalar(check.at, ALERTS.columns["withdrawn_at"]), len(gone)),
                }
            )
            return upsert_into(lake, table, ALERTS.name, given, among=among)

        done = commit.exclusively(lake, ALERTS.name, work)
        counts += LoadCounts(withdrawn=done.changed, versions=done.versions)
    return counts


def _open(lake: Lake, table: DeltaTable, among: Sequence[Filter] = ()) -> pa.Table:
    """Read `alert_id` and `updated` of the alerts that are open and not withdrawn."""
    state: list[Filter] = [("end", "=", None), ("withdrawn_at", "=", None)]
    return pa.Table.from_batches(*lake.batches(table, ["alert_id", "updated"], [*among, *state]))


def _known_states(lake: Lake, table: DeltaTable, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return what decides about stored alerts, by their ids."""
    wanted = pa.array(list(ids), pa.int64())
    columns = ["alert_id", "updated", "end", "withdrawn_at"]
    batches, schema = lake.batches(table, columns, _with_ids(ids))
    mine = (with_values(batch, "alert_id", wanted) for batch in batches)
    return {row["alert_id"]: row for row in pa.Table.from_batches(mine, schema).to_pylist()}


def _write_history(lake: Lake, states: Sequence[State]) -> LoadCounts:
    """Write states, of those with one id and `updated` the last."""
    if not states:
        return LoadCounts()
    rows = {(state.alert_id, state.updated): state.row for state in states}
    known = lake.open(HISTORY.name)
    stored = HISTORY.schema() if known is None else pa.schema(known.schema().to_arrow())
    updates = [updated for _, updated in rows]
    among: list[Filter] = [
        *_with_ids({alert_id for alert_id, _ in rows}),
        ("updated", ">=", min(updates)),
        ("updated", "<=", max(updates)),
    ]
    given = table_of(HISTORY, list(rows.values()), stored)
    note = partial(note_rewritten, lake)  # before: once it is written nobody could tell
    return upsert(lake, HISTORY.name, given, among=among, before=note)


def _moved(cursor: datetime | None, read: Read | None) -> datetime | None:
    """Return where the cursor goes, None where it stays."""
    if read is None or (cursor is not None and read.mark <= cursor):
        return None
    starts_late = read.begin is not None and (cursor is None or read.begin > cursor)
    return None if starts_late else read.mark


def _still_withdrawn(state: State, stored: Mapping[str, Any] | None) -> datetime | None:
    """Keep `withdrawn_at` where the state was asked for before the alert was found missing."""
    withdrawn_at: datetime | None = stored["withdrawn_at"] if stored else None
    return withdrawn_at if withdrawn_at is not None and state.asked_at <= withdrawn_at else None


def _with_ids(ids: Iterable[int]) -> list[Filter]:
    found = sorted(ids)
    if len(found) <= IN_LIST:
        return [("alert_id", "in", found)]
    return [("alert_id", ">=", found[0]), ("alert_id", "<=", found[-1])]


def _id(value: Any) -> int:
    found = usable_key(value, pa.int64())
    if found is None:
        raise ValueError("it has no usable id")
    return int(found)


def _transaction(what: str, moment: datetime) -> Transaction:
    return Transaction(what, int(moment.timestamp()))
