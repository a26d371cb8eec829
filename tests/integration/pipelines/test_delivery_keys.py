"""A receiver that drops the keys that it has, as it is told to, ends with what the lake holds, whatever goes wrong."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from locus_stem.pipelines import alert_delivery
from locus_stem.pipelines.alert_delivery import deliver_alerts
from locus_stem.pipelines.webhook_reply import Reply
from locus_stem.tables import alerts
from locus_stem.tables.alert_deliveries import pending, register
from locus_stem.tables.alerts import Check, load_alerts, open_alerts
from locus_stem.tables.lake import Lake
from support.ticketing import MINUTE, NOW, Receiver, at, newest, state

HOOK = "tickets"
TAKEN = Reply.of_status(200)
FAILED = [Reply.of_status(status) for status in (503, 500, 422)]


class KilledError(BaseException):
    """The worker dies here."""


def killed(*_: Any, **__: Any) -> None:
    raise KilledError


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def lake(tmp_path):
    lake = Lake(f"file://{tmp_path}/lake")
    register(lake, HOOK, NOW)
    return lake


def deliver(lake, receiver):
    return deliver_alerts(lake, HOOK, receiver)


def killed_before_recording(lake, receiver, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(alert_delivery, "record_posts", killed)
        with pytest.raises(KilledError):
            deliver(lake, receiver)


def withdraw(lake, alert_id, updated, minutes):
    load_alerts(
        lake, [], check=Check(NOW + minutes * MINUTE, open_alerts({alert_id: NOW + updated * MINUTE}))
    )


def is_up_to_date(lake, receiver):
    return deliver(lake, receiver).left == 0 and receiver.view == newest(lake)


@pytest.mark.parametrize("reply", FAILED, ids=str)
@pytest.mark.parametrize("is_lost", [False, True], ids=["not taken", "taken, answer lost"])
def test_an_alert_that_is_back_is_told_though_the_post_fails_once(lake, receiver, reply, is_lost):
    load_alerts(lake, [state(1, 0)])
    deliver(lake, receiver)
    withdraw(lake, 1, 0, 10)
    deliver(lake, receiver)
    load_alerts(lake, [state(1, 0, asked=20)])

    def fails(body: bytes, key: str) -> Reply:
        if is_lost:
            receiver.take(json.loads(body), key)
        return reply

    assert deliver(lake, fails).left == 1
    assert is_up_to_date(lake, receiver)
    assert len(set(receiver.keys)) == 3


def test_a_content_that_comes_back_under_one_updated_is_told_again(lake, receiver):
    for number, status in enumerate(("open", "closed", "open", "closed")):
        load_alerts(lake, [state(1, 0, asked=number, status=status)])
        assert is_up_to_date(lake, receiver)
    assert len(set(receiver.keys)) == len(receiver.keys) == 4


def test_a_post_that_is_not_recorded_is_repeated_with_its_key(lake, receiver, monkeypatch):
    for status in ("open", "closed", "open"):
        load_alerts(lake, [state(1, 0, status=status)])
        killed_before_recording(lake, receiver, monkeypatch)
        killed_before_recording(lake, receiver, monkeypatch)
        assert is_up_to_date(lake, receiver)
        assert len(set(receiver.keys[-3:])) == 1
    assert len(set(receiver.keys)) == 3


def test_what_a_post_that_is_not_recorded_told_is_taken_back(lake, receiver, monkeypatch):
    load_alerts(lake, [state(1, 0, status="open")])
    deliver(lake, receiver)
    load_alerts(lake, [state(1, 0, status="closed")])
    killed_before_recording(lake, receiver, monkeypatch)
    load_alerts(lake, [state(1, 0, status="open")])
    assert is_up_to_date(lake, receiver)


def test_a_first_post_that_is_not_recorded_leaves_no_key_for_later(lake, receiver, monkeypatch):
    for status in ("open", "closed", "open"):
        load_alerts(lake, [state(1, 0, status=status)])
        killed_before_recording(lake, receiver, monkeypatch)
    assert is_up_to_date(lake, receiver)


def test_an_older_state_that_comes_late_leaves_the_newest_the_last_word_through_a_kill(
    lake, receiver, monkeypatch
):
    load_alerts(lake, [state(1, 10)])
    killed_before_recording(lake, receiver, monkeypatch)
    load_alerts(lake, [state(1, 5)])
    killed_before_recording(lake, receiver, monkeypatch)
    assert is_up_to_date(lake, receiver)
    assert [event["updated"] for event in receiver.view.values()] == [at(10)]


def test_a_newest_state_that_only_the_history_has_yet_keeps_the_last_word(lake, receiver, monkeypatch):
    load_alerts(lake, [state(1, 10)])
    for minutes in (20, 5):
        with monkeypatch.context() as patched:
            patched.setattr(alerts, "upsert_into", killed)
            with pytest.raises(KilledError):
                load_alerts(lake, [state(1, minutes)])
        deliver(lake, receiver)
    load_alerts(lake, [state(1, 20), state(1, 5)])
    assert is_up_to_date(lake, receiver)


@pytest.mark.parametrize("when", ["before it is written", "after it is written"])
def test_other_content_that_a_sync_loads_while_a_post_is_under_way_is_told(lake, receiver, monkeypatch, when):
    load_alerts(lake, [state(1, 0, status="open")])
    step = "note_rewritten" if when == "before it is written" else "upsert"
    work = getattr(alerts, step)

    def in_the_middle(*args, **given):
        """A whole delivery between the note and the replacement of what is stored, or right after that."""
        done = work(*args, **given)
        deliver(lake, receiver)
        return done

    with monkeypatch.context() as patched:
        patched.setattr(alerts, step, in_the_middle)
        load_alerts(lake, [state(1, 0, status="closed")])
    assert is_up_to_date(lake, receiver)
    load_alerts(lake, [state(1, 0, status="open")])

    def loads(body: bytes, key: str) -> Reply:
        load_alerts(lake, [state(1, 0, status="closed")])
        return receiver(body, key)

    deliver(lake, loads)
    assert is_up_to_date(lake, receiver)


def test_other_content_of_a_state_that_was_there_before_the_first_run_is_told(lake, receiver):
    for status in ("open", "closed"):
        load_alerts(lake, [state(1, 0, status=status), state(2, 0)])
    register(lake, "later", NOW)
    assert deliver_alerts(lake, "later", receiver).posted == 0
    load_alerts(lake, [state(1, 0, status="open"), state(2, 0, status="open")])
    assert deliver_alerts(lake, "later", receiver).posted == 2
    assert receiver.view == newest(lake)
    assert deliver_alerts(lake, "later", receiver).posted == 0


def test_a_delivery_that_was_given_up_and_still_posts_does_not_have_the_last_word(lake, receiver):
    load_alerts(lake, [state(1, 0, status="open")])

    def hangs(body: bytes, key: str) -> Reply:
        """Meanwhile another delivery tells what is newer, then this post arrives."""
        load_alerts(lake, [state(1, 0, status="closed")])
        deliver(lake, receiver)
        return receiver(body, key)

    deliver(lake, hangs)
    assert receiver.view[1]["status"] == "open"
    assert is_up_to_date(lake, receiver)


def test_an_alert_that_failed_comes_last_though_its_content_changed_since(lake, receiver, monkeypatch):
    load_alerts(lake, [state(1, 0, status="open")])
    deliver(lake, lambda body, key: FAILED[0])
    load_alerts(lake, [state(1, 0, status="closed"), state(2, 1)])
    killed_before_recording(lake, lambda body, key: FAILED[0], monkeypatch)
    assert [event.alert_id for event in pending(lake, HOOK)] == [2, 1]


def test_each_connection_has_keys_of_its_own(lake, receiver):
    register(lake, "other", NOW)
    load_alerts(lake, [state(1, 0)])
    deliver(lake, receiver)
    deliver_alerts(lake, "other", receiver)
    assert len(set(receiver.keys)) == 2


def test_an_event_that_is_settled_before_its_turn_is_not_posted_and_not_left(lake, receiver, monkeypatch):
    load_alerts(lake, [state(1, 0)])
    deliver(lake, receiver)
    withdraw(lake, 1, 0, 10)
    events = pending(lake, HOOK)
    deliver(lake, receiver)
    monkeypatch.setattr(alert_delivery, "pending", lambda *_: events)
    delivered = deliver(lake, receiver)
    assert (delivered.posted, delivered.left, receiver.calls) == (0, 0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_through_any_faults_the_receiver_ends_with_what_the_lake_holds(lake, receiver, monkeypatch, seed):
    rng = random.Random(seed)
    minute = 0

    def sync() -> None:
        """New states, older ones, and old ones with another content; some alerts vanish or are back."""
        nonlocal minute
        minute += 1
        chosen = rng.sample(range(1, 5), 2)
        updates = [rng.choice([minute, rng.randint(1, minute), minute // 4 + 1]) for _ in chosen]
        load_alerts(
            lake,
            [
                state(one, updated, asked=minute, status=rng.choice("abc"))
                for one, updated in zip(chosen, updates, strict=True)
            ],
        )
        if rng.random() < 0.3:
            row = rng.choice(lake.read("locus_alerts").to_pylist())
            minute += 1
            load_alerts(
                lake, [], check=Check(NOW + minute * MINUTE, open_alerts({row["alert_id"]: row["updated"]}))
            )

    def posted(body: bytes, key: str) -> Reply:
        if rng.random() < 0.1:
            sync()
        chance = rng.random()
        if chance < 0.25:
            if rng.random() < 0.5:
                receiver.take(json.loads(body), key)
            if rng.random() < 0.3:
                raise KilledError
            return rng.choice(FAILED)
        return receiver(body, key)

    record, begin = alert_delivery.record_posts, alert_delivery.begin_posts
    for _ in range(16):
        sync()
        with monkeypatch.context() as patched:
            patched.setattr(alert_delivery, "record_posts", killed if rng.random() < 0.2 else record)
            patched.setattr(alert_delivery, "begin_posts", killed if rng.random() < 0.1 else begin)
            try:
                deliver(lake, posted)
            except KilledError:
                continue
    assert is_up_to_date(lake, receiver)
