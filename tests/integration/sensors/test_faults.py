"""What a failing API means to a look, in workers and in triggers, and that triggers ask one at a time."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.options import Fault
from locus_stem.sensors.locus import LocusAlertSensor, LocusDataAvailableSensor
from locus_stem.sensors.stem import StemStreamAvailableSensor
from locus_stem.triggers.locus import LocusAlertTrigger, LocusDataAvailableTrigger
from locus_stem.triggers.stem import StemStreamAvailableTrigger

ALWAYS = 10**6


def waiting(**given):
    """A sensor whose field never comes."""
    return LocusDataAvailableSensor(task_id="wait", fields="Nope_sum", **given)


def trigger(**given):
    arguments = {"conn_id": "locus_default", "poke_interval": 0.05, "errors_for": 0.6, "fields": "Nope_sum"}
    return LocusDataAvailableTrigger(**(arguments | given))


async def fired(waiting_trigger):
    async for event in waiting_trigger.run():
        return event.payload
    return None


def started_again(context, seconds_ago=None):
    """The context of a rescheduled task's next process: Airflow has deleted the XComs and tells their names."""
    names = list(context["ti"].xcoms)
    context["ti"].xcoms.clear()
    if seconds_ago is not None:
        names = [f"failing_since_{int(time.time()) - seconds_ago}"]
    context["ti"]._ti_context_from_server = SimpleNamespace(xcom_keys_to_clear=names)
    context["task_reschedule_count"] += 1
    context["ti"].get_first_reschedule_date = lambda _: datetime.now(UTC) - timedelta(minutes=1)
    return context


def test_a_row_of_errors_is_remembered_over_reschedules_and_forgotten_by_a_look_that_works(serve, context):
    server = serve(faults=(Fault("503", 1.0),), fault_streak=ALWAYS)
    with pytest.raises(AirflowRescheduleException):
        waiting().execute(context)
    (left,) = context["ti"].xcoms
    with pytest.raises(AirflowRescheduleException):
        waiting().execute(started_again(context))
    assert list(context["ti"].xcoms) == [left]  # the row goes on, it doesn't begin anew
    with pytest.raises(AirflowFailException, match="Every look has failed for 30 min"):
        waiting().execute(started_again(context, seconds_ago=1801))
    object.__setattr__(server.application.faults, "_rates", [])
    with pytest.raises(AirflowRescheduleException):
        waiting().execute(started_again(context, seconds_ago=1801))
    assert context["ti"].xcoms == {}


def test_a_retry_does_not_inherit_the_row_of_the_try_before_it(serve, context):
    serve(faults=(Fault("503", 1.0),), fault_streak=ALWAYS)
    started_again(context, seconds_ago=7200)["task_reschedule_count"] = 0
    with pytest.raises(AirflowRescheduleException):
        waiting().execute(context)


def test_one_look_sends_each_request_once(serve, context):
    server = serve(faults=(Fault("500", 1.0),), fault_streak=ALWAYS)
    with pytest.raises(AirflowRescheduleException):
        waiting().execute(context)
    assert len(server.log) == 1


def test_a_429_reschedules_to_the_apis_own_delay_and_is_no_error(serve, context):
    serve(faults=(Fault("429-retry-after", 1.0),), fault_streak=ALWAYS, retry_after=1200)
    with pytest.raises(AirflowRescheduleException) as rescheduled:
        waiting(errors_for=timedelta(0)).execute(context)
    ahead = rescheduled.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=1190) < ahead <= timedelta(seconds=1200)
    assert context["ti"].xcoms == {}


def test_a_revoked_token_costs_a_new_one_and_no_look(serve, context):
    server = serve()
    sensor = LocusDataAvailableSensor(task_id="wait", fields="Wh_sum", mode="poke")
    assert sensor.poke(context)
    server.revoke_tokens()
    assert sensor.poke(context)
    assert [served.status for served in server.log] == [200, 200, 401, 200, 200]


@pytest.mark.parametrize(
    ("sensor", "message"),
    [
        (LocusDataAvailableSensor(task_id="a", fields="Wh_sum", site_id=9_000_001), "HTTP 403"),
        (LocusDataAvailableSensor(task_id="b", fields="Wh_sum", component_id=1), "HTTP 404"),
        (
            LocusDataAvailableSensor(task_id="c", fields="Wh_sum", conn_id="nowhere"),
            "connection 'nowhere' is not defined",
        ),
        (LocusDataAvailableSensor(task_id="d", fields="Wh_sum", conn_id="locus_wrong"), "field password"),
        (LocusDataAvailableSensor(task_id="e", fields="Wh_sum", conn_id="partnerless"), "field partner_id"),
        (
            StemStreamAvailableSensor(task_id="f", site_id="a", conn_id="stem_wrong"),
            r"field password \(the API key\)",
        ),
    ],
)
def test_what_another_look_cannot_mend_fails_both_modes_at_once_with_one_message(
    serve, context, monkeypatch, sensor, message
):
    server = serve()
    like = sandbox_connections(server.url)
    for conn_id, connection in {
        "locus_wrong": {**like["locus_default"], "password": None},
        "partnerless": {**like["locus_default"], "extra": {"client_id": "a", "client_secret": "b"}},
        "stem_wrong": {**like["stem_default"], "password": "not-the-key"},
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    with pytest.raises(AirflowFailException, match=message) as failed:
        sensor.execute(context)
    made = sensor.trigger(
        conn_id=sensor.conn_id or sensor.default_conn_id,
        poke_interval=1.0,
        errors_for=1.0,
        **sensor.wait(context).settings(),
    )
    event = asyncio.run(fired(made))
    assert event == {"status": "failed", "message": str(failed.value)}
    with pytest.raises(AirflowFailException, match=message):
        sensor.execute_complete(context, event)
    assert "not-the-key" not in str(failed.value)


def test_a_wrong_argument_fails_before_anything_is_asked_or_deferred(serve, context):
    server = serve()
    for deferrable in (False, True):
        sensor = LocusAlertSensor(task_id=f"wait_{deferrable}", priority="urgent", deferrable=deferrable)
        with pytest.raises(AirflowFailException, match="priority: 'urgent' is refused"):
            sensor.execute(context)
    assert server.log == []


def test_a_trigger_gives_up_when_errors_in_a_row_have_lasted_too_long(serve):
    server = serve(faults=(Fault("reset", 1.0),), fault_streak=ALWAYS)
    began = time.monotonic()
    event = asyncio.run(fired(trigger()))
    assert event["status"] == "failed"
    assert "Every look has failed" in event["message"]
    assert time.monotonic() - began >= 0.6
    assert len(server.log) >= 3


def test_a_look_that_works_begins_the_row_of_errors_anew(serve):
    # at most two faults in a row for a request, so that a row never lasts
    server = serve(faults=(Fault("500", 1.0),), fault_streak=2)

    async def run_for_a_while():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fired(trigger(errors_for=4.0)), 9)

    asyncio.run(run_for_a_while())
    statuses = [served.status for served in server.log if served.api == "locus"]
    assert statuses.count(500) > statuses.count(200) > 3


def test_a_429_shuts_the_gate_for_every_trigger_with_these_credentials(serve):
    server = serve(faults=(Fault("429-retry-after", 1.0),), fault_streak=ALWAYS, retry_after=2)

    async def wait_together():
        tasks = [asyncio.create_task(fired(trigger(errors_for=0.0))) for _ in range(5)]
        await until(lambda: server.log and server.log[0].finished)
        await asyncio.sleep(1)
        first = len(server.log)
        await until(lambda: len(server.log) > first)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return first, [task.cancelled() for task in tasks]

    first, cancelled = asyncio.run(wait_together())
    assert first == 1  # not one a trigger
    assert all(cancelled)  # a 429 is never an error, however long it lasts


async def until(holds, within=20.0):
    """Wait for something to hold."""
    for _ in range(int(within / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it doesn't hold")


def test_triggers_with_the_same_credentials_never_have_two_requests_in_flight(serve, monkeypatch):
    server = serve(latency_ms=20, stem_concurrency=1)
    again = sandbox_connections(server.url)["locus_default"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_LOCUS_AGAIN", json.dumps({**again, "extra": {**again["extra"], "timeout": 9}})
    )

    async def wait_together():
        others = [
            LocusAlertTrigger(
                conn_id="locus_again",
                poke_interval=0.01,
                errors_for=0.0,
                since=datetime.now(UTC),
                component_id=server.fleet.components(server.fleet.site_ids[0])[0].id,
            ),
            *(
                StemStreamAvailableTrigger(
                    conn_id="stem_default",
                    poke_interval=0.01,
                    errors_for=0.0,
                    site_id=server.fleet.stem.site_ids[0],
                    started_by="1990-01-01T00:00:00Z",
                )
                for _ in range(3)
            ),
        ]
        locus = [trigger(poke_interval=0.01, errors_for=0.0) for _ in range(4)]
        tasks = [asyncio.create_task(fired(one)) for one in [*locus, *others]]
        longest = await longest_block(2.0)
        await until(lambda: {"locus", "stem"} <= {one.api for one in server.log} and len(server.log) > 20)
        done = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return longest, done

    longest, done = asyncio.run(wait_together())
    assert done == []
    stats = server.stats()
    assert stats["max_in_flight"]["locus"] == stats["max_in_flight"]["stem"] == 1
    assert stats["max_in_flight"]["token"] == 1
    assert set(stats["by_status"]) == {"200"}
    assert longest < 1.5  # of 2 s, on a machine that does other things too


async def longest_block(seconds):
    """Measure the longest time for which the event loop was held."""
    loop, longest = asyncio.get_running_loop(), 0.0
    until = loop.time() + seconds
    while (before := loop.time()) < until:
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - before - 0.01)
    return longest


def test_a_cancelled_trigger_lets_the_next_one_look_and_leaves_nothing_open(serve, recwarn, monkeypatch):
    server = serve()
    monkeypatch.setattr(
        server.application, "fault", lambda request, served: "hang" if served is server.log[0] else None
    )

    async def cancel_in_mid_look():
        held = asyncio.create_task(fired(trigger()))
        await until(lambda: server.log)
        next_one = asyncio.create_task(fired(trigger(fields="Wh_sum")))
        await asyncio.sleep(0.1)
        assert len(server.log) == 1  # the gate is held
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        return held.cancelled(), await asyncio.wait_for(next_one, 20)

    cancelled, event = asyncio.run(cancel_in_mid_look())
    assert cancelled
    assert event["status"] == "success"
    gc.collect()
    assert [str(warning.message) for warning in recwarn if warning.category is ResourceWarning] == []


def test_no_secret_is_told_by_a_trigger(serve, caplog, capfd):
    serve(faults=(Fault("500", 1.0),), fault_streak=ALWAYS)
    with caplog.at_level(logging.DEBUG):
        event = asyncio.run(fired(trigger(errors_for=0.1)))
    told = caplog.text + "".join(capfd.readouterr()) + json.dumps(event) + repr(trigger())
    assert "Looking again in" in told
    assert not [secret for secret in ("sandbox-secret", "sandbox-password") if secret in told]
