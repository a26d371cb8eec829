from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from locus_stem.api.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from locus_stem.operators.backfill import LocusPlanBackfillOperator
from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator
from locus_stem.operators.retries import HAS_POLICIES, asked_wait, is_final, known_causes
from locus_stem.planning.params import ParamError
from locus_stem.tables.lake import LakeError, LakeUnavailableError

FINAL = [
    AuthenticationError("refused", path="/oauth/token", status=401),
    PermissionDeniedError("no", path="/v3/sites/1", status=403),
    NotFoundError("no", path="/v3/sites/1", status=404),
    BadRequestError("no", path="/v3/sites/1", status=400),
    ConfigurationError("partner_id is missing"),
    ParamError("start", "x", "a date is needed"),
    LakeError("lake"),
]
LATER = [
    ServerError("failed", path="/v3/sites/1", status=500),
    RateLimitedError("busy", path="/v3/sites/1", status=429, retry_after=90_000),
    LakeUnavailableError("slow down"),
    OSError("disk full"),
]
later_policies = pytest.mark.skipif(not HAS_POLICIES, reason="Airflow has retry policies from 3.3 on")
own_errors = pytest.mark.skipif(HAS_POLICIES, reason="before 3.3 Airflow knows its own errors only")


def context(*, try_number=1, max_tries=5, first=None):
    ti = SimpleNamespace(
        try_number=try_number, max_tries=max_tries, get_first_reschedule_date=lambda context: first
    )
    return {"ti": ti}


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_what_no_retry_mends_is_final(error):
    assert is_final(error)
    assert asked_wait(error) is None


@pytest.mark.parametrize("error", LATER, ids=repr)
def test_what_may_pass_is_left_to_the_tasks_own_retries(error):
    assert not is_final(error)
    assert asked_wait(error) is None
    with pytest.raises(type(error)), known_causes(context()):
        raise error


def test_the_apis_own_delay_is_kept_to():
    error = ServerError("failed", path="/v3/sites/1", status=503, retry_after=300)
    assert asked_wait(error) == timedelta(minutes=5)


def tasks():
    with DAG("retries", schedule=None):
        single = LocusEndpointOperator(task_id="one", endpoint="get_site", arguments={"site_id": 1})
        LocusEndpointOperator.partial(task_id="many", endpoint="get_site").expand(arguments=[{"site_id": 1}])
    return [
        single,
        StemEndpointOperator(task_id="stem", endpoint="get_clients"),
        LocusPlanBackfillOperator(task_id="plan"),
    ]


@later_policies
@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.task_id)
def test_from_3_3_on_every_task_judges_by_cause_and_raises_the_error_itself(task):
    decide = task.retry_policy.evaluate
    assert {decide(error, 1, 5).action.value for error in FINAL} == {"fail"}
    assert {decide(error, 1, 5).action.value for error in LATER} == {"default"}
    put_off = decide(RateLimitedError("busy", path="/", status=429, retry_after=300), 1, 5)
    assert (put_off.action.value, put_off.retry_delay) == ("retry", timedelta(minutes=5))
    assert "busy" in put_off.reason
    with pytest.raises(NotFoundError), known_causes(context()):
        raise FINAL[2]


@later_policies
def test_a_users_own_policy_stays():
    from airflow.sdk import ExceptionRetryPolicy

    own = ExceptionRetryPolicy(rules=[])
    task = LocusEndpointOperator(task_id="one", endpoint="get_site", retry_policy=own)
    assert task.retry_policy is own


@later_policies
def test_a_reason_fits_into_airflows_database():
    from locus_stem.operators.retries import CauseRetryPolicy

    assert len(CauseRetryPolicy().evaluate(BadRequestError("x" * 2000), 1, 5).reason) == 500


@own_errors
@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_before_3_3_final_errors_become_airflows_own(error):
    with pytest.raises(AirflowFailException) as failed, known_causes(context()):
        raise error
    assert str(failed.value) == str(error)


@own_errors
def test_before_3_3_a_wait_is_a_reschedule_while_the_task_has_retries_left():
    error = RateLimitedError("busy", path="/", status=429, retry_after=300)
    with pytest.raises(AirflowRescheduleException) as put_off, known_causes(context()):
        raise error
    wait = put_off.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=290) < wait <= timedelta(seconds=300)
    with pytest.raises(RateLimitedError), known_causes(context(try_number=6)):
        raise error
    with pytest.raises(RateLimitedError), known_causes(context(first=datetime.now(UTC) - timedelta(days=2))):
        raise error
