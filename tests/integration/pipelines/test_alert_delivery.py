"""Delivery from real tables to a receiver that is down, fails, refuses, or dies with the worker."""

from __future__ import annotations

import random
from typing import Any

import pytest

from locus_stem.pipelines import alert_delivery
from locus_stem.pipelines.alert_delivery import deliver_alerts
from locus_stem.pipelines.webhook_reply import Reply
from locus_stem.tables.alert_deliveries import pending, register
from locus_stem.tables.alerts import Check, load_alerts, open_alerts
from locus_stem.tables.lake import Lake
from support.ticketing import MINUTE, NOW, Receiver, at, newest, state

HOOK = "tickets"
DOWN, FAILS, REFUSES = (Reply.of_status(status) for status in (503, 500, 422))
MOSTLY_TAKEN = [Reply.of_status(200)] * 8 + [DOWN, FAILS, REFUSES]


class KilledError(BaseException):
    """The worker dies here."""


@pytest.fixture
def lake(tmp_path):
    return Lake(f"file://{tmp_path}/lake")


def show(lake: Lake, *states: tuple[int, int], **columns: Any) -> None:
    """Load states (alert id, minutes after NOW), as a sync does."""
    load_alerts(lake, [state(*one, **columns) for one in states])


def test_what_was_there_before_the_first_run_is_known_and_the_rest_is_posted_once(lake):
    show(lake, (1, 0), (2, 0))
    assert register(lake, HOOK, NOW) == 2
    receiver = Receiver()
    assert deliver_alerts(lake, HOOK, receiver).posted == 0
    show(lake, (2, 5), (3, 1))
    assert register(lake, HOOK, NOW) is None
    delivered = deliver_alerts(lake, HOOK, receiver)
    assert (delivered.posted, delivered.left) == (2, 0)
    assert receiver.events() == [(3, at(1), None), (2, at(5), None)]
    assert deliver_alerts(lake, HOOK, receiver).posted == 0
    assert receiver.calls == 2


def test_an_empty_lake_is_a_beginning_too(lake):
    assert register(lake, HOOK, NOW) == 0
    show(lake, (1, 0))
    assert register(lake, HOOK, NOW) is None
    assert deliver_alerts(lake, HOOK, Receiver()).posted == 1


def test_each_connection_has_progress_of_its_own(lake):
    register(lake, "one", NOW)
    show(lake, (1, 0))
    register(lake, "two 'quoted' /ü", NOW)
    show(lake, (1, 1))
    first, second = Receiver(), Receiver()
    deliver_alerts(lake, "one", first)
    deliver_alerts(lake, "two 'quoted' /ü", second)
    assert first.events() == [(1, at(0), None), (1, at(1), None)]
    assert second.events() == [(1, at(1), None)]


def test_a_body_has_every_column_with_iso_times_and_a_key_that_stays_the_same(lake, monkeypatch):
    register(lake, HOOK, NOW)
    show(lake, (1, 0), new_field="added by the API", end=NOW)
    receiver = Receiver()
    monkeypatch.setattr(alert_delivery, "record_posts", lambda *_: None)
    deliver_alerts(lake, HOOK, receiver)
    show(lake, (2, 0), another="a column that the first post had not")
    deliver_alerts(lake, HOOK, receiver)
    body = receiver.taken[0]
    assert body.keys() >= {"alert_id", "updated", "end", "new_field", "withdrawn_at", "priority"}
    assert (body["updated"], body["end"], body["priority"]) == ("2025-03-01T12:07:30.250000Z", at(0), None)
    assert body["site_name"] == "Süd"
    assert "another" not in body
    assert receiver.taken[1]["alert_id"] == 1
    assert receiver.keys[1] == receiver.keys[0] != receiver.keys[2]
    assert all(len(key) == 64 for key in receiver.keys)


def test_a_withdrawal_is_posted_and_so_is_the_return(lake):
    register(lake, HOOK, NOW)
    show(lake, (1, 0), (2, 0))
    receiver = Receiver()
    deliver_alerts(lake, HOOK, receiver)
    gone = NOW + 60 * MINUTE
    load_alerts(lake, [], check=Check(gone, open_alerts({1: NOW})))
    deliver_alerts(lake, HOOK, receiver)
    assert receiver.events()[2:] == [(1, at(0), at(60))]
    load_alerts(lake, [state(1, 0, asked=61)])
    assert deliver_alerts(lake, HOOK, receiver).posted == 1
    assert receiver.taken[-1]["withdrawn_at"] is None
    assert len(set(receiver.keys)) == len(receiver.keys)  # a receiver that knows keys doesn't drop the return
    assert deliver_alerts(lake, HOOK, receiver).posted == 0


def test_a_withdrawal_and_its_state_that_are_both_new_are_one_post(lake):
    register(lake, HOOK, NOW)
    show(lake, (1, 0))
    load_alerts(lake, [], check=Check(NOW + MINUTE, open_alerts({1: NOW})))
    receiver = Receiver()
    assert deliver_alerts(lake, HOOK, receiver).posted == 1
    assert receiver.events() == [(1, at(0), at(1))]


def test_a_webhook_that_is_down_is_asked_once_a_run_and_loses_nothing(lake):
    register(lake, HOOK, NOW)
    show(lake, *((alert_id, 0) for alert_id in range(1, 9)))
    receiver = Receiver()
    receiver.answers = lambda alert_id: DOWN
    delivered = deliver_alerts(lake, HOOK, receiver)
    assert (receiver.calls, delivered.posted, delivered.left, delivered.stopped) == (1, 0, 8, DOWN)
    receiver.answers = lambda alert_id: Reply.of_status(204)
    show(lake, (3, 1))
    assert deliver_alerts(lake, HOOK, receiver).left == 0
    # The alert that it failed on has its turn after the others.
    first = [(alert_id, at(0), None) for alert_id in range(2, 9)]
    assert receiver.events() == [*first, (3, at(1), None), (1, at(0), None)]


@pytest.mark.parametrize("reply", [REFUSES, FAILS], ids=["refused", "failed"])
def test_an_alert_that_is_not_taken_waits_with_its_later_states_and_the_others_go_on(lake, reply):
    register(lake, HOOK, NOW)
    show(lake, (1, 0), (2, 1), (3, 2), (2, 3), (1, 4), (2, 5))
    receiver = Receiver()
    receiver.answers = lambda alert_id: reply if alert_id == 2 else Reply.of_status(200)
    delivered = deliver_alerts(lake, HOOK, receiver)
    assert receiver.events() == [(1, at(0), None), (3, at(2), None), (1, at(4), None)]
    assert (delivered.waiting, delivered.left, delivered.stopped) == ({2: reply.reason}, 3, None)
    receiver.answers = lambda alert_id: Reply.of_status(200)
    deliver_alerts(lake, HOOK, receiver)
    assert receiver.events()[3:] == [(2, at(1), None), (2, at(3), None), (2, at(5), None)]


@pytest.mark.parametrize(("status", "posts"), [(500, 3), (422, 20), (503, 1), (429, 1), (401, 1), (301, 1)])
def test_a_webhook_that_takes_nothing_is_soon_left_alone(lake, status, posts):
    register(lake, HOOK, NOW)
    show(lake, *((alert_id, alert_id) for alert_id in range(1, 41)))
    receiver = Receiver()
    receiver.answers = lambda alert_id: Reply.of_status(status)
    delivered = deliver_alerts(lake, HOOK, receiver)
    assert receiver.calls == posts
    assert delivered.stopped == Reply.of_status(status)
    assert delivered.left == 40


@pytest.mark.parametrize("reply", [FAILS, REFUSES, DOWN], ids=str)
def test_alerts_that_are_never_taken_do_not_keep_the_others_from_it(lake, reply):
    register(lake, HOOK, NOW)
    receiver = Receiver()
    receiver.answers = lambda alert_id: reply if alert_id % 10 == 0 else Reply.of_status(200)
    for run in range(12):
        show(lake, *((run * 10 + number, run) for number in range(1, 11)))
        deliver_alerts(lake, HOOK, receiver)
    assert {alert_id for alert_id, _, _ in receiver.events()} == {n for n in range(1, 121) if n % 10}
    assert sorted(event.alert_id for event in pending(lake, HOOK)) == list(range(10, 121, 10))


def test_alerts_that_fail_take_turns_at_the_end(lake):
    register(lake, HOOK, NOW)
    show(lake, *((alert_id, 0) for alert_id in range(1, 11)))
    receiver = Receiver()
    asked = []
    receiver.answers = lambda alert_id: (
        asked.append(alert_id) or (Reply.of_status(200) if alert_id == 10 else FAILS)
    )
    for _ in range(4):
        deliver_alerts(lake, HOOK, receiver)
    assert asked[:3] == [1, 2, 3]
    assert set(asked) == set(range(1, 11))


def test_a_state_that_comes_late_is_told_and_the_newest_again_has_the_last_word(lake):
    register(lake, HOOK, NOW)
    show(lake, (1, 10), (2, 0))
    receiver = Receiver()
    deliver_alerts(lake, HOOK, receiver)
    show(lake, (1, 5), (2, 1))
    delivered = deliver_alerts(lake, HOOK, receiver)
    assert (delivered.posted, delivered.left) == (3, 0)
    told = [event["updated"] for event in receiver.taken if event["alert_id"] == 1]
    assert told == [at(10), at(5), at(10)]
    assert len(set(receiver.keys)) == len(receiver.keys)  # a receiver that knows keys doesn't drop the last
    assert deliver_alerts(lake, HOOK, receiver).posted == 0


def test_the_newest_is_told_again_after_a_late_state_though_it_fails_once(lake):
    register(lake, HOOK, NOW)
    show(lake, (1, 10))
    receiver = Receiver()
    deliver_alerts(lake, HOOK, receiver)
    show(lake, (1, 5))
    answers = iter([Reply.of_status(200), FAILS, Reply.of_status(200)])
    receiver.answers = lambda alert_id: next(answers)
    assert deliver_alerts(lake, HOOK, receiver).left == 1
    assert deliver_alerts(lake, HOOK, receiver).left == 0
    assert [event["updated"] for event in receiver.taken] == [at(10), at(5), at(10)]
    assert receiver.view == newest(lake)


def test_another_content_with_the_same_updated_is_told_too(lake):
    show(lake, (1, 0), (2, 0))
    register(lake, HOOK, NOW)
    receiver = Receiver()
    show(lake, (1, 0), (2, 0))
    assert deliver_alerts(lake, HOOK, receiver).posted == 0
    show(lake, (1, 0), end=NOW + MINUTE)
    assert deliver_alerts(lake, HOOK, receiver).posted == 1
    assert [(event["alert_id"], event["end"]) for event in receiver.taken] == [(1, at(1))]
    assert deliver_alerts(lake, HOOK, receiver).posted == 0


def test_a_slow_webhook_ends_a_delivery_in_time_and_the_next_goes_on(lake):
    register(lake, HOOK, NOW)
    show(lake, *((alert_id, alert_id) for alert_id in range(1, 31)))
    clock = iter(range(0, 100_000, 5))
    receiver = Receiver()
    first = deliver_alerts(lake, HOOK, receiver, seconds=100, clock=lambda: next(clock))
    assert 0 < first.posted < 30
    assert first.posted + first.left == 30
    while deliver_alerts(lake, HOOK, receiver, seconds=100, clock=lambda: next(clock)).left:
        assert receiver.calls < 40
    assert [event[0] for event in receiver.events()] == list(range(1, 31))
    assert receiver.calls == 30


def test_a_kill_repeats_no_more_than_what_was_not_yet_recorded(lake, monkeypatch):
    register(lake, HOOK, NOW)
    show(lake, *((alert_id, alert_id) for alert_id in range(1, 301)))
    receiver = Receiver()
    record = alert_delivery.record_posts
    recorded = []

    def killed_at_the_end(*args):
        recorded.append(len(args[2]))
        if len(recorded) > 2:  # as if the process was gone at once
            raise KilledError
        record(*args)

    monkeypatch.setattr(alert_delivery, "record_posts", killed_at_the_end)
    receiver.answers = lambda alert_id: Reply.of_status(200) if receiver.calls <= 250 else DOWN
    with pytest.raises(KilledError):
        deliver_alerts(lake, HOOK, receiver)
    assert recorded == [100, 100, 50]
    monkeypatch.setattr(alert_delivery, "record_posts", record)
    receiver.answers = lambda alert_id: Reply.of_status(200)
    deliver_alerts(lake, HOOK, receiver)
    assert len(receiver.taken) == 350
    assert [event[0] for event in receiver.events()] == list(range(1, 301))
    assert receiver.keys[200:250] == receiver.keys[250:300]


def test_cleaning_every_table_loses_nothing_that_is_pending(lake):
    register(lake, HOOK, NOW)
    show(lake, (1, 0), (2, 0))
    for name in ("locus_alert_history", "locus_alerts", "_alert_deliveries"):
        table = lake.open(name)
        table.optimize.compact()
        table.create_checkpoint()
        table.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
        table.cleanup_metadata()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert register(lake, HOOK, NOW) is None
    assert len(pending(lake, HOOK)) == 2


@pytest.mark.parametrize("seed", range(4))
def test_through_any_faults_each_event_is_told_at_least_once_and_in_order(lake, monkeypatch, seed):
    rng = random.Random(seed)
    receiver = Receiver()
    register(lake, HOOK, NOW)
    record = alert_delivery.record_posts
    minutes, latest = 0, {}
    events: set[tuple[int, str]] = set()
    for _ in range(20):
        states = [
            (alert_id, minutes + 1 + after) for after, alert_id in enumerate(rng.sample(range(1, 8), 3))
        ]
        show(lake, *states)
        minutes += 3
        latest |= dict(states)
        events |= {(alert_id, at(minute)) for alert_id, minute in states}
        if rng.random() < 0.2:
            gone = rng.choice(sorted(latest))
            minutes += 1
            check = Check(NOW + minutes * MINUTE, open_alerts({gone: NOW + latest[gone] * MINUTE}))
            load_alerts(lake, [], check=check)
        receiver.answers = lambda alert_id: rng.choice(MOSTLY_TAKEN)
        killed = rng.random() < 0.2
        monkeypatch.setattr(alert_delivery, "record_posts", _killed if killed else record)
        try:
            deliver_alerts(lake, HOOK, receiver)
        except KilledError:
            assert killed
    monkeypatch.setattr(alert_delivery, "record_posts", record)
    receiver.answers = lambda alert_id: Reply.of_status(200)
    assert deliver_alerts(lake, HOOK, receiver).left == 0
    assert {event[:2] for event in receiver.events()} == events
    for alert_id in latest:
        first_told = [event[1] for event in receiver.events() if event[0] == alert_id]
        assert first_told == sorted(first_told)
    assert receiver.view == newest(lake)


def _killed(*_: Any) -> None:
    raise KilledError
