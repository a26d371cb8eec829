from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException

from locus_stem.get_provider_info import get_provider_info
from locus_stem.pools import FETCH_PRIORITY
from locus_stem.sensors import locus, stem
from locus_stem.sensors.locus import LocusAlertSensor, LocusDataAvailableSensor, LocusDataSensor
from locus_stem.sensors.stem import StemStreamAvailableSensor, StemStreamSensor

SENSORS = {
    LocusAlertSensor: {},
    LocusDataSensor: {"site_id": 1, "fields": "Wh_sum", "until": "2025-10-01T00:00:00Z"},
    LocusDataAvailableSensor: {"fields": "Wh_sum"},
    StemStreamSensor: {"site_id": "a", "until": "2025-10-01T00:00:00Z"},
    StemStreamAvailableSensor: {"site_id": "a"},
}
NUMBERS = itertools.count()
ALL = pytest.mark.parametrize(("kind", "given"), SENSORS.items())


@pytest.fixture
def dag():
    with DAG("waiting", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as made:
        yield made


def both(kind, given):
    """The same sensor, made alone and mapped."""
    number = next(NUMBERS)
    one = kind(task_id=f"one_{number}", **given)
    mapped = kind.partial(task_id=f"mapped_{number}", **given).expand_kwargs([{}])
    return one, mapped


@ALL
def test_a_sensor_is_rescheduled_in_its_accounts_pool_below_extraction(dag, kind, given):
    vendor = "stem" if "Stem" in kind.__name__ else "locus"
    one, mapped = both(kind, given)
    assert (one.mode, one.poke_interval, one.deferrable) == ("reschedule", 300.0, False)
    for task in (one, mapped):
        assert task.pool == f"{vendor}_api"
        assert task.priority_weight < FETCH_PRIORITY
        rule = task.weight_rule  # a name, or the strategy that it names
        assert "absolute" in (rule if isinstance(rule, str) else type(rule).__name__).lower()
    for task in both(kind, {**given, "conn_id": "west"}):
        assert task.pool == f"{vendor}_api__west"


@ALL
def test_a_deferrable_sensor_stays_outside_of_the_accounts_pool(dag, kind, given):
    for task in both(kind, {**given, "deferrable": True}):
        assert task.pool == "default_pool"
    for task in both(kind, {**given, "deferrable": True, "pool": "mine", "conn_id": "{{ params.account }}"}):
        assert task.pool == "mine"


@pytest.mark.parametrize(
    ("defaults", "pool"),
    [
        ({"conn_id": "west"}, "locus_api__west"),
        ({"pool": "mine"}, "mine"),
        ({"deferrable": True}, "default_pool"),
    ],
)
def test_the_dags_default_args_hold_for_both(defaults, pool):
    with DAG("waiting", schedule=None, default_args=defaults):
        assert {task.pool for task in both(LocusAlertSensor, {})} == {pool}


def test_a_templated_connection_needs_a_pool(dag):
    with pytest.raises(ValueError, match="pool"):
        LocusAlertSensor(task_id="one", conn_id="{{ params.account }}")


@ALL
def test_everything_is_given_by_keyword_and_what_is_waited_for_is_templated(dag, kind, given):
    with pytest.raises(TypeError):
        kind("wait", **given)
    own = {
        name
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if name not in {"self", "kwargs"} and parameter.kind is parameter.KEYWORD_ONLY
    }
    assert own | {"conn_id"} == set(kind.template_fields)
    assert own == set(kind.trigger.waits.__dataclass_fields__)


def context():
    run = type("Run", (), {"run_after": datetime(2025, 10, 1, tzinfo=UTC)})
    return {"dag_run": run, "ti": None, "task_reschedule_count": 0}


@ALL
def test_deferring_hands_over_every_setting_and_the_timeout_and_asks_nothing(dag, kind, given):
    sensor = kind(
        task_id="wait",
        deferrable=True,
        conn_id="nowhere",
        timeout=timedelta(hours=2),
        poke_interval=timedelta(minutes=1),
        errors_for=timedelta(minutes=7),
        max_xcom_bytes=99,
        **given,
    )
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    assert deferred.value.timeout == timedelta(hours=2)
    assert deferred.value.method_name == "execute_complete"
    trigger = deferred.value.trigger
    assert type(trigger) is kind.trigger
    assert (trigger.conn_id, trigger.poke_interval, trigger.errors_for) == ("nowhere", 60.0, 420.0)
    assert trigger.max_xcom_bytes == 99
    assert trigger.wait == sensor.wait(context())


def test_since_is_the_runs_own_instant_unless_it_is_given(dag):
    assert LocusAlertSensor(task_id="a").wait(context()).since == datetime(2025, 10, 1, tzinfo=UTC)
    given = LocusAlertSensor(task_id="b", since="2025-09-30 22:00:00-07:00").wait(context())
    assert given.since == datetime(2025, 10, 1, 5, tzinfo=UTC)


def test_what_the_trigger_tells_becomes_the_value_the_failure_or_the_skip(dag):
    sensor = LocusAlertSensor(task_id="a", deferrable=True)
    assert sensor.execute_complete({}, {"status": "success", "value": [{"id": 1}]}) == [{"id": 1}]
    failed = {"event": {"status": "failed", "message": "check its field password"}}
    with pytest.raises(AirflowFailException, match="check its field password"):
        sensor.resume_execution("execute_complete", failed, {})
    for how in ("soft_fail", "never_fail"):
        sensor = LocusAlertSensor(task_id=how, deferrable=True, priority="urgent", **{how: True})
        with pytest.raises(AirflowSkipException):
            sensor.resume_execution("execute_complete", failed, {})
        with pytest.raises(AirflowSkipException):
            sensor.execute(context())


def test_the_provider_lists_every_sensor_and_trigger():
    info = get_provider_info()
    for key, package in (("sensors", "sensors"), ("triggers", "triggers")):
        listed = {name for item in info[key] for name in item["python-modules"]}
        assert listed == {f"locus_stem.{package}.locus", f"locus_stem.{package}.stem"}
    found = {
        kind
        for module in (locus, stem)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    }
    assert found == set(SENSORS)


def test_sensors_and_triggers_import_nothing_heavy():
    code = (
        "import sys, locus_stem.sensors.locus, locus_stem.sensors.stem, locus_stem.triggers.locus\n"
        "print(*({'deltalake', 'pyarrow', 'aiohttp'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1:] in ([], [""]), done.stdout


def test_no_sensor_sleeps_in_the_worker_for_longer_than_two_minutes():
    assert LocusDataAvailableSensor(task_id="t", site_id=1, fields="Wh_sum", mode="poke").poke_interval == 120
    with pytest.raises(ValueError, match=r"poke_interval: 0:05:00 is refused with mode='poke'"):
        LocusDataAvailableSensor(task_id="t", site_id=1, fields="Wh_sum", mode="poke", poke_interval=300)
