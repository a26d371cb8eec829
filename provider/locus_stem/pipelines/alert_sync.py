"""The alert sync: what changed since the last one, in one request; after an outage what it takes to catch up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.locus import LocusEndpoints
from locus_stem.pipelines.slot import UnansweredError
from locus_stem.planning.alerts import (
    OpenDuring,
    ServerClock,
    is_check_due,
    mark_after,
    oldest_since,
    open_now,
    slices,
)
from locus_stem.tables.alerts import (
    Check,
    Known,
    Loaded,
    Read,
    State,
    known_alerts,
    load_alerts,
    open_alerts,
    read_states,
    remember,
    remembered,
)
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.rows import without_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.api.answer import Answer
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: A cursor that is older than this is worth a line: runs were missed.
LATE = timedelta(hours=2)


@dataclass(slots=True)
class Synced:
    """What a turn of the sync did.

    :param unreadable: objects that could not be kept.
    :param begin: every change from there on was asked for; None: from the beginning on.
    :param cursor: every change before it is loaded.
    :param left: the turn in the slot is over and there is more to ask for.
    """

    history: LoadCounts = field(default_factory=LoadCounts)
    alerts: LoadCounts = field(default_factory=LoadCounts)
    unreadable: int = 0
    begin: datetime | None = None
    cursor: datetime | None = None
    left: bool = False

    def to_json(self) -> dict[str, Any]:
        """Write for an XCom."""
        counts = {name: getattr(self.alerts, name) for name in ("new", "changed", "unchanged", "withdrawn")}
        cursor = self.cursor.isoformat() if self.cursor else None
        return {**counts, "states_new": self.history.new, "unreadable": self.unreadable, "cursor": cursor}

    def add(self, loaded: Loaded) -> None:
        """Count one load."""
        self.history += loaded.history
        self.alerts += loaded.alerts
        self.cursor = loaded.cursor


def sync_alerts(
    lake: Lake,
    partner_id: int,
    turn: Turn,
    *,
    run: str,
    updated_since: datetime | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Synced:
    """Load every alert that changed since the cursor, or since ``updated_since``.

    A sync that the end of its turn cut short (``left``) is called again and goes on where it stopped.

    :param run: names the run; what a re-read has done in earlier turns is remembered by it.
    :param now: own clock.
    """
    return _Sync(lake, partner_id, turn, run, updated_since, now).run_turn()


class _TurnOverError(Exception):
    """The turn in the slot has ended; the next one goes on."""


class _Sync:
    """One turn of a sync."""

    def __init__(
        self,
        lake: Lake,
        partner_id: int,
        turn: Turn,
        run: str,
        updated_since: datetime | None,
        now: Callable[[], datetime],
    ) -> None:
        self.lake, self.partner_id, self.turn, self.now = lake, partner_id, turn, now
        self.updated_since = updated_since
        self.progress = f"locus_alert_sync.reread.{run}"
        self.ahead: timedelta | None = None
        self.seen: set[int] = set()
        #: An object without a usable id may be any alert that seems absent, one of several that differ and have one id
        #: the alert that was as new.
        self.tells_absence = True
        self.doubled: set[datetime] = set()
        #: Every change before this is loaded, and whether this turn has moved it.
        self.read_to: datetime | None = None
        self.moved = False
        self.result = Synced()

    def run_turn(self) -> Synced:
        known = known_alerts(self.lake)  # before the first request: see _check
        self.result.cursor = known.cursor
        self.result.begin = self.read_to = self._begin(known)
        try:
            self._read(known, self.read_to)
        except _TurnOverError:
            self.result.left = True
            if self.updated_since is not None and self.read_to and self.read_to > self.updated_since:
                remember(self.lake, self.progress, self.read_to)
            log.info("The turn in the slot is over; the sync goes on from %s", self.read_to)
        return self.result

    def _read(self, known: Known, begin: datetime | None) -> None:
        """Ask for everything since `begin` and load it.

        :raises _TurnOverError: the turn ended first.
        """
        looked_at: datetime | None = None
        planned = slices(begin, self._clock())
        _announce(begin, self.updated_since is not None, self.now(), len(planned) + 1)
        while planned:
            for period in planned:
                answer = self._ask(period)
                looked_at = looked_at or answer.asked_at
                self._load(self._states(answer), Read(begin, period.mark))
                self.read_to, self.moved = period.mark, True
            planned = slices(self.read_to, self._clock())
        states: list[State] = []
        if looked_at is None and _is_whole(begin, known) and is_check_due(known.checked, self.now()):
            answer = self._ask(open_now(self._clock()), status="open")
            looked_at, states = answer.asked_at, self._states(answer)
        since = oldest_since(self._clock()) if self.moved or self.read_to is None else self.read_to
        answer = self._ask_since(since)
        states += self._states(answer)
        self._load(states, Read(begin, mark_after(answer.asked_at, answer.trusted_date)))
        del states
        if (check := self._check(known, begin, looked_at)) is not None:
            self._load([], check=check)  # once the states are out of memory
        if self.updated_since is not None and self._resumed() is not None:
            remember(self.lake, self.progress, self.updated_since)

    # -- how far

    def _begin(self, known: Known) -> datetime | None:
        if self.updated_since is None:
            return known.cursor
        return max(self.updated_since, self._resumed() or self.updated_since)

    def _resumed(self) -> datetime | None:
        return remembered(self.lake.open("locus_alerts"), self.progress)

    def _check(self, known: Known, begin: datetime | None, looked_at: datetime | None) -> Check | None:
        """Compare what was open before the first request with all that was shown.

        An alert that closed in between is in the answer to updatedSince, which was asked last; one that opened in
        between was not known to be open.
        """
        if looked_at is None or (begin is not None and not _is_whole(begin, known)):
            return None
        if begin is None:
            return Check(looked_at, open_alerts({}))
        if not self.tells_absence:
            log.warning("Alerts were answered without a usable id: none counts as absent by this look")
            return Check(looked_at, open_alerts({}))
        absent = without_values(known.open, "alert_id", self.seen)
        return Check(looked_at, without_values(absent, "updated", self.doubled))

    # -- requests

    def _clock(self) -> ServerClock:
        return ServerClock(self.now(), self.ahead)

    def _ask(self, period: OpenDuring, **filters: str) -> Answer:
        return self._answer(
            open_during_min=_written(period.start), open_during_max=_written(period.end), **filters
        )

    def _ask_since(self, since: datetime) -> Answer:
        return self._answer(updated_since=_written(since))

    def _answer(self, **arguments: str) -> Answer:
        if self.turn.over():
            raise _TurnOverError
        call = LocusEndpoints.get_partner_alerts.request(partner_id=self.partner_id, tz="UTC", **arguments)
        try:
            answer = self.turn.answer(call)
        except UnansweredError:
            if self.moved:  # the next turn goes on from there
                raise _TurnOverError from None
            raise
        if answer.trusted_date is not None:
            self.ahead = answer.trusted_date - answer.asked_at
        return answer

    # -- loads

    def _states(self, answer: Answer) -> list[State]:
        states, unreadable = read_states(answer.payload, answer.asked_at)
        answer.payload.clear()  # else all would be there twice while it is loaded
        self.seen.update(state.alert_id for state in states)
        self.seen.update(unreadable)
        first: dict[int, State] = {}
        for state in states:
            if first.setdefault(state.alert_id, state).row != state.row:
                self.doubled |= {first[state.alert_id].updated, state.updated}
        self.tells_absence &= 0 not in unreadable
        self.result.unreadable += len(unreadable)
        return states

    def _load(self, states: list[State], read: Read | None = None, check: Check | None = None) -> None:
        self.result.add(load_alerts(self.lake, states, read=read, check=check))


def _is_whole(begin: datetime | None, known: Known) -> bool:
    """Whether everything that changed since the last sync will be shown."""
    return begin is not None and known.cursor is not None and begin <= known.cursor


def _announce(begin: datetime | None, is_reread: bool, now: datetime, requests: int) -> None:
    if begin is None:
        log.info("The first sync: alerts of the last 31 days, %d requests", requests)
    elif is_reread:
        log.info("What changed since %s is read again: %d request(s)", _written(begin), requests)
    elif now - begin > LATE:
        log.info(
            "The last sync read up to %s, %s ago: catching up with %d request(s)",
            _written(begin), _duration(now - begin), requests,
        )  # fmt: skip


def _duration(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
