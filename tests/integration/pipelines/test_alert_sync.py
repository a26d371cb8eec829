"""The alert sync against the sandbox over sockets, its clock moved by the tests, into real tables."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from deltalake import DeltaTable

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.pipelines.alert_sync import sync_alerts
from locus_stem.pipelines.slot import Turn, UnansweredError
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server
from locus_stem.tables import alerts as tables
from locus_stem.tables.lake import Lake

START = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class KilledError(BaseException):
    """A worker dies here."""


@dataclass
class World:
    """A sandbox whose clock the test moves, and a lake."""

    fleet: Fleet
    server: Server
    lake: Lake
    time: datetime = START
    runs: int = 0
    #: States by (id, updated) of syncs that ended, and of all answers.
    shown: dict[tuple[int, datetime], dict[str, Any]] = field(default_factory=dict)
    answered: set[tuple[int, datetime]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.fleet.set_now(lambda: self.time)

    def sync(self, own: timedelta = timedelta(0), *, during=None, turn_seconds=100.0, **options: Any) -> Any:
        """Sync with this machine's clock so far ahead; ``during(n)`` is called before the n-th request."""
        self.runs += 1

        def now() -> datetime:
            self.time += timedelta(seconds=1)
            return self.time + own

        credentials = LocusCredentials(
            host=self.server.url,
            grant_type="bearer",
            password="sandbox-token",
            partner_id=1,
            label="connection 'locus_default'",
        )
        with LocusClient(credentials, now=now, sleep=lambda seconds: None) as client:
            turn = _RecordingTurn(client, turn_seconds)
            turn.during, turn.shown, turn.number = during, {}, 0
            given = {"run": f"run {self.runs}", "now": now, **options}
            try:
                result = sync_alerts(self.lake, 1, turn, **given)
            finally:
                self.answered |= set(turn.shown)
            self.shown |= turn.shown
            return result

    def requests(self) -> list[str]:
        found = [served.query for served in self.server.log if served.path.endswith("/alerts")]
        self.server.reset()
        return found

    def stored(self) -> dict[int, dict[str, Any]]:
        rows = self.lake.read("locus_alerts").to_pylist()
        assert len({row["alert_id"] for row in rows}) == len(rows)
        return {row["alert_id"]: row for row in rows}

    def history(self) -> dict[tuple[int, datetime], dict[str, Any]]:
        rows = self.lake.read("locus_alert_history").to_pylist()
        found = {(row["alert_id"], row["updated"]): row for row in rows}
        assert len(found) == len(rows)
        return found

    def truth(self) -> dict[int, dict[str, Any]]:
        return {one["id"]: expected(one) for one in self.fleet.truth_alerts()}

    def check_exact(self, since: datetime) -> None:
        """The newest states are the server's; vanished alerts are marked; the history has every state shown."""
        truth, stored = self.truth(), self.stored()
        there = {one: row for one, row in stored.items() if row["withdrawn_at"] is None}
        assert {one: without(row) for one, row in there.items()} == {one: truth[one] for one in there}
        missing = {one: row for one, row in truth.items() if one not in there}
        assert [row for row in missing.values() if row["end"] is None or row["end"] >= since] == []
        assert not truth.keys() & (stored.keys() - there.keys())
        history = self.history()
        assert set(self.shown) <= set(history) <= self.answered
        assert {key: history[key] for key in self.shown} == self.shown
        assert {(one, row["updated"]) for one, row in stored.items()} <= set(history)

    def settle(self) -> None:
        """Let a day pass, so that vanished alerts are noticed, and sync."""
        self.time += DAY
        self.sync()


class _RecordingTurn(Turn):
    """A turn that notes every state it was answered."""

    def answer(self, call):
        self.number += 1
        if self.during:
            self.during(self.number)
        answer = super().answer(call)
        for one in answer.payload:
            row = expected({name: _time(value) if name in TIMES else value for name, value in one.items()})
            self.shown[row["alert_id"], row["updated"]] = row
        return answer


TIMES = {"start", "end", "updated"}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def expected(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "alert_id": one["id"],
        "updated": one["updated"],
        "component_id": one["componentId"],
        "component_name": one["componentName"],
        "site_id": one["siteId"],
        "site_name": one["siteName"],
        "alert_type": one["alertType"],
        "priority": one["priority"],
        "start": one["start"],
        "end": one.get("end"),
        "description_short": one.get("descriptionShort"),
        "description_long": one.get("descriptionLong"),
    }


def without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "withdrawn_at"}


@pytest.fixture
def world(tmp_path):
    worlds: list[World] = []

    def make(sites: int = 8, **options: Any) -> World:
        server = Server(Fleet(sites=sites), Options(**options)).__enter__()
        lake = Lake(f"file://{tmp_path}/lake{len(worlds)}")
        worlds.append(World(server.fleet, server, lake))
        return worlds[-1]

    yield make
    for made in worlds:
        made.server.__exit__(None, None, None)


def test_the_sandboxs_date_header_follows_its_clock(world):
    made = world()
    made.time = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    answer = httpx.get(
        f"{made.server.url}/v3/partners/1/clients", headers={"Authorization": "Bearer sandbox-token"}
    )
    assert parsedate_to_datetime(answer.headers["Date"]) == made.time


def test_the_first_sync_takes_two_requests_an_ordinary_one_takes_one_and_a_days_first_two(world):
    made = world()
    first = made.sync()
    assert first.alerts.new == len(made.stored()) > 30
    open_during, since = made.requests()
    assert "openDuringMin=2025-01-29T" in open_during
    assert "updatedSince=2025-02-22T12:1" in since
    made.time += 15 * MINUTE
    second = made.sync()
    (since,) = made.requests()
    assert f"updatedSince={first.cursor:%Y-%m-%dT%H:%M:%S}" in since
    assert second.cursor - first.cursor >= 15 * MINUTE
    assert made.time - second.cursor < HOUR + MINUTE
    made.time += DAY
    made.sync()
    looked, since = made.requests()
    assert "status=open" in looked
    assert "updatedSince" in since
    made.check_exact(START - 31 * DAY)


def test_a_sync_in_which_nothing_changes_moves_the_cursor_and_rewrites_no_file(world):
    made = world(sites=1)
    made.sync()
    files = DeltaTable(made.lake.table_uri("locus_alerts")).file_uris()
    made.time += MINUTE
    again = made.sync()
    assert again.alerts.new == again.alerts.changed == again.history.new == 0
    assert DeltaTable(made.lake.table_uri("locus_alerts")).file_uris() == files
    assert tables.known_alerts(made.lake).cursor == again.cursor > START - HOUR


@pytest.mark.parametrize(
    ("outage", "requests", "said"),
    [
        (3 * HOUR, 1, "hours ago: catching up with 1 request"),
        (10 * DAY, 2, "days ago: catching up with 2 request"),
        (80 * DAY, 4, "days ago: catching up with 4 request"),
        (500 * DAY, 18, "days ago: catching up with 18 request"),
    ],
    ids=["3 hours", "10 days", "80 days", "500 days"],
)
@pytest.mark.parametrize("own", [-30 * MINUTE, 30 * MINUTE], ids=["clock behind", "clock ahead"])
def test_an_outage_of_any_length_is_caught_up_and_said(world, caplog, outage, requests, said, own):
    made = world()
    made.sync(own)
    made.requests()
    made.time += outage
    caplog.set_level("INFO")
    made.sync(own)
    asked = made.requests()
    assert len([query for query in asked if "status=open" not in query]) == requests
    assert said in caplog.text
    made.check_exact(START - 31 * DAY)
    assert made.time - tables.known_alerts(made.lake).cursor < 2 * HOUR
    made.time += 15 * MINUTE
    made.sync(own)
    assert len(made.requests()) == 1


def test_an_alert_that_vanishes_is_marked_within_a_day_and_one_that_is_shown_again_is_not(world):
    made = world(sites=24)
    made.sync()
    marked: dict[int, Any] = {}
    while not marked:
        made.time += DAY
        assert made.time < START + 60 * DAY
        known_open = open_in(made.lake)
        result = made.sync()
        marked = {one: row for one, row in made.stored().items() if row["withdrawn_at"]}
        assert result.alerts.withdrawn == len(marked)
    assert marked.keys() <= known_open.keys() - made.truth().keys()
    made.check_exact(START - 31 * DAY)
    gone, row = next(iter(marked.items()))
    assert row["withdrawn_at"].replace(microsecond=0) <= made.time
    later = made.time + DAY
    made.time = row["updated"] + HOUR  # its clock set back, the server has the alert again
    made.sync(later - made.time)
    assert made.stored()[gone] == {**row, "withdrawn_at": None}


def open_in(lake):
    return dict(zip(*tables.known_alerts(lake).open.to_pydict().values(), strict=True))


def test_an_answer_from_before_an_alert_was_missed_does_not_bring_it_back(world):
    made = world()
    made.sync()
    known = open_in(made.lake)
    gone, updated = next(iter(known.items()))
    state = tables.State(gone, updated, made.time, without(made.stored()[gone]))
    missed_at = made.time + HOUR
    tables.load_alerts(made.lake, [], check=tables.Check(missed_at, tables.open_alerts({gone: updated})))
    assert made.stored()[gone]["withdrawn_at"] == missed_at
    tables.load_alerts(made.lake, [state])
    assert made.stored()[gone]["withdrawn_at"] == missed_at
    tables.load_alerts(made.lake, [replace(state, asked_at=missed_at + MINUTE)])
    assert made.stored()[gone]["withdrawn_at"] is None


def test_an_alert_that_changed_since_the_look_is_not_marked(world):
    made = world()
    made.sync()
    gone, updated = next(iter(open_in(made.lake).items()))
    for changed in ({"updated": updated + MINUTE}, {"updated": updated + 2 * MINUTE, "end": updated}):
        row = {**without(made.stored()[gone]), **changed}
        tables.load_alerts(made.lake, [tables.State(gone, row["updated"], made.time, row)])
        loaded = tables.load_alerts(
            made.lake, [], check=tables.Check(made.time, tables.open_alerts({gone: updated}))
        )
        assert loaded.alerts.withdrawn == 0
        assert made.stored()[gone]["withdrawn_at"] is None


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_between_syncs_nothing_is_lost_and_nothing_doubled(world, monkeypatch, seed):
    """Failures before, between and after the commits, outages, re-reads, two at once, clocks half an hour off."""
    rng = random.Random(seed)
    made = world()
    happened: Counter[str] = Counter()
    write = tables.upsert_into

    def off() -> timedelta:
        return timedelta(minutes=rng.uniform(-30, 30))

    def die(number: int) -> None:
        if number == rng.choice([1, 2]):
            raise KilledError

    def killed_between_commits(*args: Any, **kwargs: Any) -> Any:
        raise KilledError

    def overlapped(number: int) -> None:
        happened["overlapped"] += 1
        made.sync(off())
        made.time += timedelta(minutes=rng.choice([0, 1, 20]))

    made.sync(off())
    for _ in range(30):
        made.time += rng.choice([15 * MINUTE] * 6 + [2 * MINUTE, 3 * HOUR, 9 * HOUR, 10 * DAY])
        kind = rng.choice(["sync"] * 4 + ["dies", "half", "reread", "overlap", "late"])
        happened[kind] += 1
        if kind == "sync":
            made.sync(off())
        elif kind in {"dies", "half"}:
            try:
                if kind == "dies":
                    made.sync(off(), during=die)
                else:
                    monkeypatch.setattr(tables, "upsert_into", killed_between_commits)
                    made.sync(off())
            except KilledError:
                happened["killed"] += 1
            finally:
                monkeypatch.setattr(tables, "upsert_into", write)
        elif kind == "reread":
            made.sync(
                off(), updated_since=(made.time - rng.choice([HOUR, DAY, 20 * DAY])).replace(microsecond=0)
            )
        elif kind == "overlap":
            made.sync(off(), during=overlapped)
        else:  # one that was asked before another, and loads after it

            def slow(lake, states, **given):
                monkeypatch.setattr("locus_stem.pipelines.alert_sync.load_alerts", tables.load_alerts)
                made.time += 40 * MINUTE
                made.sync(off())
                return tables.load_alerts(lake, states, **given)

            monkeypatch.setattr("locus_stem.pipelines.alert_sync.load_alerts", slow)
            made.sync(off())
    assert happened["killed"] + happened["overlapped"] > 0
    made.settle()
    made.check_exact(START - 31 * DAY)


def test_two_syncs_in_threads_load_each_state_once(world):
    made = world(concurrency=2)
    made.sync()
    for _ in range(4):
        made.time += 7 * HOUR
        threads = [threading.Thread(target=made.sync) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    made.sync()
    made.check_exact(START - 31 * DAY)


def test_faults_of_the_api_cost_requests_and_no_alert(world):
    kinds = ("429", "500", "503", "reset", "empty", "cut-off", "garbled", "not-json", "status-in-body")
    made = world(faults=tuple(Fault(kind, 0.06) for kind in kinds), fault_seed=3)
    failed = 0
    for _ in range(20):
        made.time += 5 * HOUR
        made.sync()
        failed += sum(served.fault is not None for served in made.server.log)
        made.server.reset()
    assert failed > 5
    made.check_exact(START - 31 * DAY)


def test_a_reread_that_begins_after_the_cursor_leaves_it_where_it_is(world):
    made = world()
    before = made.sync().cursor
    made.time += 5 * DAY
    result = made.sync(updated_since=made.time - HOUR)
    assert result.cursor == before == tables.known_alerts(made.lake).cursor
    made.requests()
    made.sync()
    assert f"updatedSince={before:%Y-%m-%dT%H:%M:%S}" in made.requests()[-1]
    made.check_exact(START - 31 * DAY)


def test_a_reread_that_begins_before_the_cursor_reads_more_than_7_days_back_and_moves_it(world):
    made = world()
    made.sync()
    rows = len(made.stored())
    made.time += DAY
    made.requests()
    result = made.sync(updated_since=made.time - 100 * DAY)
    assert made.time - result.cursor < 2 * HOUR
    assert ["openDuring" in query for query in made.requests()] == [True] * 4 + [False]
    assert len(made.stored()) > rows
    made.check_exact(START - 99 * DAY)


def test_a_reread_on_an_empty_lake_leaves_the_first_sync_to_come(world):
    made = world()
    assert made.sync(updated_since=START - HOUR).cursor is None
    made.requests()
    made.sync()
    assert len(made.requests()) == 2
    made.check_exact(START - 31 * DAY)


@pytest.mark.parametrize("reread", [False, True])
def test_a_turn_that_ends_in_a_long_catch_up_is_gone_on_with_where_it_stopped(world, monkeypatch, reread):
    made = world()
    made.sync()
    made.time += 300 * DAY
    made.requests()
    options = {"run": "one", **({"updated_since": START - 60 * DAY} if reread else {})}
    asked_for: Counter[int] = Counter()

    def over_after_three_looks(self):
        asked_for[id(self)] += 1
        return asked_for[id(self)] > 3

    turns = 1
    with monkeypatch.context() as patched:
        patched.setattr(_RecordingTurn, "over", over_after_three_looks)
        while made.sync(**options).left:
            asked_for.clear()
            turns += 1
            assert turns < 12
    assert turns >= 4
    asked = made.requests()
    assert len(set(asked)) == len(asked) <= 20
    made.check_exact(START - 31 * DAY)
    again = made.sync(**options)
    assert not again.left
    if reread:
        assert len(made.requests()) >= 11  # from the beginning again


def test_an_api_that_fails_in_a_catch_up_gives_the_slot_back_once_something_is_loaded(world, monkeypatch):
    made = world()
    made.sync()
    made.time += 100 * DAY
    answer, asked = Turn.answer, []

    def fails_after_two(self, call):
        asked.append(call)
        if len(asked) > 2:
            raise UnansweredError(call.path, self.usage())
        return answer(self, call)

    with monkeypatch.context() as patched:
        patched.setattr(Turn, "answer", fails_after_two)
        assert made.sync().left
        with pytest.raises(UnansweredError):  # a turn that brings nothing is a failed try
            made.sync()
    assert not made.sync().left
    made.check_exact(START - 31 * DAY)


def test_objects_that_cannot_be_read_are_counted_and_lose_nothing_else(world, monkeypatch, caplog):
    made = world()
    answer = Turn.answer

    def spoiled(self, call):
        found = answer(self, call)
        good = found.payload[0]
        found.payload[1:1] = [
            {**good, "id": None},
            {**good, "id": 10**30},
            {**good, "id": 7_000_001, "updated": "soon"},
            {**good, "id": 7_000_002, "updated": 5},
            {**good, "id": 7_000_003, "end": "9999-99-99"},
            {"updated": good["updated"]},
            {},
            {
                **good,
                "id": "7000004",
                "updated": "2025-02-28T10:00:00",
                "newThing": {"a": 1},
                "withdrawnAt": "x",
            },
        ]
        return found

    monkeypatch.setattr(_RecordingTurn, "answer", spoiled)
    result = made.sync()
    assert result.unreadable == 2 * 7
    assert "it can't be read" in caplog.text
    stored = made.stored()
    assert stored[7_000_004]["updated"] == datetime(2025, 2, 28, 10, tzinfo=UTC)
    assert stored[7_000_004]["new_thing"] == '{"a": 1}'
    assert stored[7_000_004]["withdrawn_at"] is None
    assert not {7_000_001, 7_000_002, 7_000_003} & stored.keys()
    assert len(stored) == result.alerts.new > 30


@pytest.mark.parametrize("wrong", [None, "x", 0, "another's"])
def test_an_open_alert_whose_id_cannot_be_told_is_not_taken_for_absent(world, monkeypatch, wrong):
    made = world()
    made.sync()
    known = open_in(made.lake)
    made.time += DAY
    truth = made.truth()
    unchanged = [one for one, updated in known.items() if one in truth and truth[one]["updated"] == updated]
    answer = Turn.answer

    def with_a_wrong_id(self, call):
        found = answer(self, call)
        other = found.payload[0]["id"] if wrong == "another's" else wrong
        spoiled = [{**one, "id": other} if one["id"] == unchanged[-1] else one for one in found.payload]
        return replace(found, payload=spoiled)

    with monkeypatch.context() as patched:
        patched.setattr(_RecordingTurn, "answer", with_a_wrong_id)
        made.sync()
    assert any("status=open" in query for query in made.requests())
    assert made.stored()[unchanged[-1]]["withdrawn_at"] is None


def test_the_cursor_outlives_checkpoints_and_the_cleaning_of_the_log(world):
    made = world(sites=2)
    made.sync()
    before = tables.known_alerts(made.lake)
    table = DeltaTable(made.lake.table_uri("locus_alerts"))
    table.optimize.compact()
    table.create_checkpoint()
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
    table.cleanup_metadata()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert tables.known_alerts(made.lake) == before
    made.time += DAY
    made.sync()
    made.check_exact(START - 31 * DAY)
