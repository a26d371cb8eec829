"""Runs that overlap, in any order of asking, revising and loading, killed or overtaken on the way: exact tables."""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from locus_stem.tables import commit, lease
from locus_stem.tables.lake import Lake
from locus_stem.tables.lease import AnotherTryError, Lease
from support.examples import PROPERTY, examples

from .order_benches import BENCHES, LIMITS, WITHOUT, Answer, BulkBench
from .order_model import Run, due_coverage, due_values

RUNS = 4
COMMITS = st.integers(0, 3)


class KilledError(BaseException):
    """The process was killed: nothing that it holds is given back."""


class Overlapping(RuleBasedStateMachine):
    """Runs ask an API that revises its values; each is loaded at some time, or several, in some order."""

    bench = BENCHES[0]

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lake = Lake(Path(self.folder.name).as_uri())
        self.api = {}
        self.clock = 0
        self.runs = [Run(f"run-{number}") for number in range(RUNS)]
        self.limits = LIMITS[0]
        self.before_commit = None
        self.killed = self.working = False
        self.patches = [
            mock.patch.object(
                lease, "TERM", -2.0
            ),  # others never wait: a lease that isn't given back is over
            mock.patch.object(Lease, "_keep", autospec=True),
            mock.patch.object(commit, "_exclusive", self._hooked(commit._exclusive)),
            mock.patch.object(Lease, "give_back", self._given_back(Lease.give_back)),
        ]
        for patch in self.patches:
            patch.start()

    def _hooked(self, real):
        def exclusive(*arguments):
            if self.before_commit and threading.current_thread() is threading.main_thread():
                self.before_commit()
            return real(*arguments)

        return exclusive

    def _given_back(self, real):
        def give_back(lease, rows=None):
            if not self.killed:
                real(lease, rows)

        return give_back

    ends = st.tuples(st.floats(0, 1), st.floats(0, 1))
    wide = st.tuples(st.floats(0, 0.4), st.floats(0.6, 1))
    names = st.sets(st.integers(0, 3), min_size=1)
    values = st.one_of(st.none(), st.sampled_from([0.0, 1.5, -2.0]))

    @initialize(
        limits=st.sampled_from(LIMITS),
        rows=st.integers(1, 2**31 - 1),
        history=st.lists(
            st.tuples(st.integers(0, RUNS - 1), st.integers(0, 1), names, wide, values),
            min_size=2,
            max_size=8,
        ),
    )
    def begin(self, limits, rows, history):
        """Several runs have asked for much the same, and the API has changed its values in between."""
        self.limits = limits
        for entity in self.bench.entities[:2]:
            for place in self.bench.places:
                if rows >> (place % 31) & 1:
                    self.api[entity, place] = dict.fromkeys(self.bench.fields, float(place))
        for run, entity, fields, ends, value in history:
            self.ask(run, entity, fields, ends, False)
            self.revise(entity, ends, min(fields), value, False)

    def _window(self, ends):
        first = self.bench.places[0]
        start, end = sorted(first + round(share * (len(self.bench.places) - 1)) for share in ends)
        return start, end + 1

    @rule(
        entity=st.integers(0, 2),
        ends=ends,
        field=st.integers(0, 3),
        value=values,
        withdraw=st.booleans(),
    )
    def revise(self, entity, ends, field, value, withdraw):
        """The API changes its values of a span, or has none of it any more."""
        self.clock += 1
        for place in range(*self._window(ends)):
            key = self.bench.entities[entity], place
            if withdraw:
                self.api.pop(key, None)
            else:
                row = self.api.setdefault(key, {})
                self.api[key] = row | {self.bench.fields[field % len(self.bench.fields)]: value}

    @rule(
        run=st.integers(0, RUNS - 1),
        entity=st.integers(0, 2),
        fields=names,
        ends=ends,
        refused=st.sampled_from([False, False, False, True]),
    )
    def ask(self, run, entity, fields, ends, refused):
        """A run asks for what it hasn't asked yet; of a date it has answers of a field, or refusals."""
        run, entity = self.runs[run], self.bench.entities[entity]
        names = tuple(
            dict.fromkeys(self.bench.fields[number % len(self.bench.fields)] for number in sorted(fields))
        )
        start, end = self._window(ends)
        if refused:  # of whole dates, as it is of whole slices
            days = {self.bench.day(place) for place in range(start, end)}
            whole = [place for place in self.bench.places if self.bench.day(place) in days]
            start, end = min(whole), max(whole) + 1
        if run.begun or any(self._meets(one, entity, names, start, end, refused) for one in run.answers):
            return
        self.clock += 1
        rows = {
            place: {name: row.get(name) for name in names if name in row or self.bench.names() is None}
            for place in range(start, end)
            if (row := self.api.get((entity, place))) is not None
        }
        reason = f"refused at {self.clock}" if refused else None
        run.answers.append(Answer(entity, names, start, end, self.clock, {} if refused else rows, reason))

    def _meets(self, one, entity, names, start, end, refused):
        if one.entity != entity or not set(names) & set(one.fields):
            return False
        if refused or one.reason is not None:
            days = {self.bench.day(place) for place in range(start, end)}
            return bool(days & {self.bench.day(place) for place in range(one.start, one.end)})
        return one.start < end and start < one.end

    def _waiting(self):
        return [run for run in self.runs if run.answers and not run.loaded]

    @precondition(_waiting)
    @rule(run=st.integers(0, RUNS - 1))
    def load(self, run):
        self._load(self._one(run))
        self._compare()

    def _one(self, number):
        waiting = self._waiting()
        return waiting[number % len(waiting)]

    @precondition(_waiting)
    @rule(run=st.integers(0, RUNS - 1), commits=COMMITS)
    def load_is_killed(self, run, commits):
        """The process dies before one of its commits; a later try goes on."""
        run = self._one(run)
        self.before_commit = self._after(commits, self._die)
        try:
            self._load(run)
        except KilledError:
            run.loaded = False
        finally:
            self.killed, self.before_commit = False, None

    @precondition(_waiting)
    @rule(run=st.integers(0, RUNS - 1), other=st.integers(0, RUNS - 1), commits=COMMITS)
    def load_is_overtaken(self, run, other, commits):
        """A load stands still before one of its commits until its lease is over and another load has done its work."""
        run, other = self._one(run), self.runs[other]
        self.before_commit = self._after(commits, lambda: self._beside(other))
        try:
            self._load(run)
        except AnotherTryError:
            assert run is other
        finally:
            self.before_commit = None
        self._compare()

    @precondition(lambda self: not self._is_half_loaded() and any(run.loaded for run in self.runs))
    @rule(run=st.integers(0, RUNS - 1))
    def repeat(self, run):
        """What is loaded already is not written again."""
        loaded = [run for run in self.runs if run.loaded]
        before = self._versions()
        self._load(loaded[run % len(loaded)])
        assert self._versions() == before
        self._compare()

    def teardown(self):
        try:
            for run in self._waiting():
                self._load(run)
                self._compare()
        finally:
            for patch in self.patches:
                patch.stop()
            self.folder.cleanup()

    def _load(self, run):
        if not run.answers:
            return
        run.begun = True
        self.bench.load(self.lake, run.name, run.answers, self.limits, self._working)
        run.loaded = True

    @contextmanager
    def _working(self):
        """The hook is for commits of data and coverage: those of the ledger are made before and after."""
        self.working = True
        try:
            yield
        finally:
            self.working = False

    def _after(self, commits, act):
        left = [commits]

        def hook():
            if not self.working:
                return
            left[0] -= 1
            if left[0] < 0:
                self.before_commit = None
                act()

        return hook

    def _die(self):
        self.killed = True
        raise KilledError

    def _beside(self, other):
        failed = []

        def load():
            try:
                self._load(other)
            except BaseException as error:  # noqa: BLE001
                failed.append(error)

        thread = threading.Thread(target=load)
        thread.start()
        thread.join()
        assert not failed, failed

    def _versions(self):
        return [
            self.lake.open(name).version() for name in (self.bench.table, "coverage") if self.lake.open(name)
        ]

    def _is_half_loaded(self):
        """Runs that were killed on the way have left a part of themselves: they are loaded to their end first."""
        return any(run.begun and not run.loaded for run in self.runs)

    def _compare(self):
        if self._is_half_loaded():
            return
        loaded = [run for run in self.runs if run.loaded]
        held = list(self.bench.held(self.lake))
        assert len(held) == len({cell[:3] for cell in held})
        assert {(entity, place, field): value for entity, place, field, value in held} == due_values(loaded)
        without = WITHOUT if isinstance(self.bench, BulkBench) else None
        due = {
            (*self.bench.title(entity, name), day): counts
            for (entity, name, day), counts in due_coverage(self.bench, loaded, without).items()
        }
        rows = self.lake.read("coverage").to_pylist()
        coverage = {
            (row["entity_id"], row["field"], row["local_date"]): (
                row["expected"], row["received"], row["null_count"], row["skipped"]
            )
            for row in rows
        }  # fmt: skip
        assert len(coverage) == len(rows)
        for key, counts in due.items():
            if counts[0] is None and key in coverage:
                due[key] = (coverage[key][0], *counts[1:])
        assert coverage == due


def test_the_record_of_a_date_that_windows_share_is_of_the_one_that_was_asked_last():
    machine = type("Machine", (Overlapping,), {"bench": BENCHES[0], "TestCase": None})()
    machine.begin(LIMITS[-1], 1, [(0, 0, {0, 1}, (0.0, 1.0), None), (2, 0, {0}, (0.25, 0.8), None)])
    machine.ask(run=1, entity=0, fields={0}, ends=(0.0, 0.0), refused=False)  # of a part of the first date
    machine.teardown()  # loads what was asked last before what meets it in its date alone


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: f"{bench.table}-{bench.granularity}")
def test_tables_end_at_the_answers_that_were_asked_last_whatever_is_loaded_when(bench, record_property):
    record_property(PROPERTY, True)
    machine = type("Machine", (Overlapping,), {"bench": bench, "TestCase": None})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(6),
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
