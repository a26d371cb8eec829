"""Every trigger's settings survive the hand-over to the triggerer and back, the way a deferred task takes."""

from __future__ import annotations

import inspect
import json
import logging
import sys
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.exceptions import TaskDeferred
from airflow.models.trigger import Trigger
from airflow.sdk.execution_time.task_runner import _defer_task
from hypothesis import given, settings
from hypothesis import strategies as st

try:
    from airflow.serialization.decoders import smart_decode_trigger_kwargs as decoded
except ImportError:  # before Airflow 3.2
    from airflow.serialization.serialized_objects import smart_decode_trigger_kwargs as decoded

from locus_stem.api.locus import ALERT_PRIORITIES, ALERT_TYPES
from locus_stem.triggers import locus, stem
from locus_stem.triggers.wait import WaitTrigger

AMERICA = timezone(timedelta(hours=-7))
INSTANT = datetime(2025, 3, 9, 1, 59, 59, 123456, tzinfo=AMERICA)
SETTINGS = {
    locus.LocusAlertTrigger: [
        {"since": INSTANT},
        {"site_id": "3000001", "since": "2025-10-01T00:00:00Z", "state": "closed"},
        {
            "component_id": 7,
            "since": INSTANT,
            "alert_type": ("Device Fault", "Zero Generation"),
            "priority": "HIGH,low",
        },
        {"partner_id": 1, "since": INSTANT, "alert_type": [], "priority": None},
    ],
    locus.LocusDataTrigger: [
        {"site_id": 1, "fields": ("Wh_sum", "W_avg"), "until": INSTANT, "granularity": "15min"},
        {"component_id": 2, "fields": "Wh_sum", "until": INSTANT, "granularity": None},
    ],
    locus.LocusDataAvailableTrigger: [
        {"fields": ["Wh_sum"]},
        {"site_id": 1, "fields": ("Wh_sum", "W_avg"), "granularity": "hourly"},
    ],
    stem.StemStreamTrigger: [
        {"site_id": "Lager Süd/1 50%", "until": INSTANT, "stream_type": "CONVERTER", "resolution": 3600},
        {"site_id": "a", "until": INSTANT},
    ],
    stem.StemStreamAvailableTrigger: [
        {"site_id": "a", "started_by": INSTANT, "client_id": "Sun & Storage/West"},
        {"site_id": "a", "stream_type": "INTERVAL_REVENUE"},
    ],
}
CASES = [(kind, one) for kind, found in SETTINGS.items() for one in found]


def handed_over(trigger):
    """Defer a task, send the message as it goes to the server, and read what it stores as the triggerer does."""
    deferred = TaskDeferred(trigger=trigger, method_name="execute_complete")
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", task=SimpleNamespace(queue="default"))
    message, _ = _defer_task(deferred, ti, SimpleNamespace(info=lambda *a, **k: None))
    sent = json.loads(message.model_dump_json())
    stored = json.dumps(sent["trigger_kwargs"])
    arguments = {name: decoded(value) for name, value in Trigger._decrypt_kwargs(stored).items()}
    module, _, name = sent["classpath"].rpartition(".")
    return getattr(sys.modules[module], name)(**arguments)


@pytest.mark.parametrize(("kind", "given_settings"), CASES)
def test_every_setting_survives_the_way_to_the_triggerer_and_back(kind, given_settings):
    trigger = kind(
        conn_id="locus_west", poke_interval=90.5, errors_for=1800.0, max_xcom_bytes=7, **given_settings
    )
    back = handed_over(trigger)
    assert type(back) is kind
    assert back.serialize() == trigger.serialize()
    assert back.wait == trigger.wait
    assert (back.conn_id, back.poke_interval, back.errors_for, back.max_xcom_bytes) == (
        "locus_west",
        90.5,
        1800.0,
        7,
    )
    arguments = trigger.serialize()[1]
    own = {"conn_id", "poke_interval", "errors_for", "max_xcom_bytes"}
    assert set(arguments) == own | set(kind.waits.__dataclass_fields__)
    instants = [value for value in vars_of(back.wait) if isinstance(value, datetime)]
    expected = [value for name, value in given_settings.items() if name in {"since", "until", "started_by"}]
    assert instants == [
        value if isinstance(value, datetime) else datetime.fromisoformat(value) for value in expected
    ]


def vars_of(wait):
    return [getattr(wait, name) for name in wait.__dataclass_fields__]


def test_every_trigger_is_among_these():
    triggers = {
        kind
        for module in (locus, stem)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, WaitTrigger) and kind.__module__ == module.__name__
    }
    assert triggers == set(SETTINGS)


@settings(max_examples=60, deadline=None)
@given(
    since=st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
    types=st.lists(st.sampled_from(ALERT_TYPES), unique=True),
    priorities=st.lists(st.sampled_from(ALERT_PRIORITIES), unique=True),
    poke_interval=st.floats(0, 1e6),
)
def test_any_alert_filter_survives(since, types, priorities, poke_interval):
    logging.disable(logging.INFO)
    trigger = locus.LocusAlertTrigger(
        conn_id="c",
        poke_interval=poke_interval,
        errors_for=1.0,
        since=since,
        alert_type=types,
        priority=tuple(priorities),
    )
    back = handed_over(trigger)
    assert back.wait == trigger.wait
    assert back.wait.since == since.astimezone(UTC)
    assert back.poke_interval == poke_interval
