"""Any sequence of syncs, with states shown late or again and new columns, ends in the tables that dicts would be."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from locus_stem.tables import alerts
from locus_stem.tables.alerts import CURSOR, Check, Read, load_alerts, open_alerts, read_states, remembered
from locus_stem.tables.lake import Lake
from support.examples import PROPERTY, examples

IDS = st.integers(1, 4)
MINUTES = st.integers(0, 30)
NEW_COLUMNS = ["severity", "ticketNumber"]


def at(minute):
    return datetime(2025, 10, 1, tzinfo=UTC) + timedelta(minutes=minute)


class Syncs(RuleBasedStateMachine):
    """An alert's state is told by its id and when it was updated; what is shown was asked for at some minute."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lake = Lake(Path(self.folder.name).as_uri())
        self.history = {}
        self.newest = {}
        self.cursor = None

    def teardown(self):
        self.folder.cleanup()

    def _object(self, alert_id, updated):
        """The same id and time are always the same state."""
        mark = 31 * alert_id + updated
        found = {
            "id": alert_id,
            "updated": at(updated).isoformat(),
            "start": at(-60).isoformat(),
            "priority": ["High", "Low", None][mark % 3],
        }
        if mark % 4 == 0:
            found["end"] = at(updated).isoformat()
        if mark % 5 < 2:
            found[NEW_COLUMNS[mark % 5]] = f"value {mark}"
        return found

    @rule(
        shown=st.lists(st.tuples(IDS, MINUTES), max_size=5),
        asked=st.integers(0, 60),
        read=st.one_of(st.none(), st.tuples(st.one_of(st.none(), MINUTES), MINUTES)),
        again=st.booleans(),
    )
    def sync(self, shown, asked, read, again):
        states, unreadable = read_states([self._object(*one) for one in shown], at(asked))
        assert not unreadable
        given = read and Read(None if read[0] is None else at(read[0]), at(read[1]))
        done = load_alerts(self.lake, states, read=given)
        if read and (self.cursor is None or read[1] > self.cursor):
            begin = read[0]
            if begin is None or (self.cursor is not None and begin <= self.cursor):
                self.cursor = read[1]
        for alert_id, updated in sorted(shown, key=lambda one: one[1]):
            self.history[alert_id, updated] = self._object(alert_id, updated)
            before, withdrawn = self.newest.get(alert_id, (-1, None))
            if before <= updated:
                still = withdrawn if withdrawn is not None and asked <= withdrawn else None
                self.newest[alert_id] = updated, still
        assert done.cursor == (None if self.cursor is None else at(self.cursor))
        if again:
            versions = self._versions()
            load_alerts(self.lake, states, read=given)
            assert self._versions() == versions
        self._compare()

    @rule(missed=st.sets(IDS, min_size=1), minute=st.integers(0, 60))
    def check(self, missed, minute):
        """Open alerts are asked for, and some that are known to be open aren't shown."""
        absent = {alert_id: self.newest[alert_id][0] for alert_id in missed if alert_id in self.newest}
        load_alerts(
            self.lake,
            [],
            check=Check(at(minute), open_alerts({one: at(updated) for one, updated in absent.items()})),
        )
        for alert_id, updated in absent.items():
            if "end" not in self._object(alert_id, updated) and self.newest[alert_id][1] is None:
                self.newest[alert_id] = updated, minute
        self._compare()

    def _versions(self):
        tables = [self.lake.open(name) for name in ("locus_alerts", "locus_alert_history")]
        return [table and table.version() for table in tables]

    def _compare(self):
        held = [self._row(row) for row in self.lake.read("locus_alert_history").to_pylist()]
        due = [self._due(one) for one in self.history.values()]
        assert sorted(held, key=str) == sorted(due, key=str)
        newest = [self._row(row) for row in self.lake.read("locus_alerts").to_pylist()]
        due = [
            self._due(self._object(alert_id, updated))
            | ({} if withdrawn is None else {"withdrawn_at": at(withdrawn)})
            for alert_id, (updated, withdrawn) in self.newest.items()
        ]
        assert sorted(newest, key=str) == sorted(due, key=str)
        table = self.lake.open("locus_alerts")
        assert remembered(table, CURSOR) == (None if self.cursor is None else at(self.cursor))

    def _row(self, row):
        return dict(sorted((name, value) for name, value in row.items() if value is not None))

    def _due(self, one):
        names = {"id": "alert_id", "ticketNumber": "ticket_number"}
        instants = {"updated", "start", "end"}
        return dict(
            sorted(
                (names.get(name, name), datetime.fromisoformat(value) if name in instants else value)
                for name, value in one.items()
                if value is not None
            )
        )


@pytest.mark.parametrize("at_once", [alerts.MOST_STATES, 2])
def test_any_sequence_of_syncs_ends_in_the_tables_that_dicts_would_be(monkeypatch, at_once, record_property):
    record_property(PROPERTY, True)
    monkeypatch.setattr(alerts, "MOST_STATES", at_once)
    monkeypatch.setattr(alerts, "MOST_WITHDRAWN", at_once)
    run_state_machine_as_test(
        Syncs,
        settings=settings(
            max_examples=examples(15),
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
