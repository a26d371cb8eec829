"""Retries that know the cause: what no retry mends fails at once, and the API's own wait is kept to.

Airflow 3.3 asks a task's retry policy about the error itself; earlier ones know only errors of their own. One table of
causes serves both.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException, redact

from locus_stem.api.errors import ConfigurationError, FatalError, RefusedError, RetriableError
from locus_stem.planning.params import ParamError

try:
    from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy
except ImportError:  # before Airflow 3.3
    HAS_POLICIES = False
else:
    HAS_POLICIES = True

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseOperator, Context

__all__ = ["HAS_POLICIES", "asked_wait", "is_final", "known_causes", "retry_by_cause"]

#: A longer wait than this isn't believed; the task's own retries decide then.
LONGEST_WAIT = timedelta(hours=24)
#: Characters of a reason that Airflow's database holds.
REASON_LENGTH = 500


def is_final(error: BaseException) -> bool:
    """Whether no retry can help.

    So it is for wrong params, connections, lake addresses and credentials, and for refusals of what the whole task
    needs: no permission, no such entity, a bad request.
    """
    from locus_stem.pipelines.plan import NothingAllowedError
    from locus_stem.tables.lake import LakeError
    from locus_stem.tables.staging import StagingError

    of_the_api = (ConfigurationError, FatalError, RefusedError)
    return isinstance(error, (*of_the_api, ParamError, LakeError, NothingAllowedError, StagingError))


def asked_wait(error: BaseException) -> timedelta | None:
    """Give the time that the API asks to be left alone, None where it doesn't say or can't mean it."""
    if not isinstance(error, RetriableError) or error.retry_after is None:
        return None
    wait = timedelta(seconds=error.retry_after)
    return wait if wait <= LONGEST_WAIT else None


if HAS_POLICIES:

    class CauseRetryPolicy(RetryPolicy):
        """Retry by cause: final errors fail at once, the API's own delay replaces the task's, all else is the task's.

        For tasks of one's own that call the hooks, on Airflow 3.3 and later:

        .. code-block:: python

            @task(retries=5, retry_policy=CauseRetryPolicy())
            def sites():
                return LocusHook().get_partner_sites(partner_id=1)
        """

        def evaluate(
            self,
            exception: BaseException,
            try_number: int,  # noqa: ARG002
            max_tries: int,  # noqa: ARG002
            context: Context | None = None,  # noqa: ARG002
        ) -> RetryDecision:
            """Decide by the error that the task raised."""
            reason = str(redact(f"{type(exception).__name__}: {exception}"))[:REASON_LENGTH]
            if is_final(exception):
                return RetryDecision.fail(reason=reason)
            if (wait := asked_wait(exception)) is not None:
                return RetryDecision.retry(delay=wait, reason=reason)
            return RetryDecision.default()

    __all__ += ["CauseRetryPolicy"]


def retry_by_cause(task: BaseOperator) -> None:
    """Give a task the policy where Airflow has them, unless its user chose one."""
    if HAS_POLICIES and task.retry_policy is None:
        task.retry_policy = CauseRetryPolicy()


@contextmanager
def known_causes(context: Context) -> Iterator[None]:
    """Do before Airflow 3.3 what the policy does later: final errors become Airflow's own, a wait a reschedule.

    :param context: the task's: a wait is kept to where the task has retries left, and for :data:`LONGEST_WAIT` in all.
    :raises AirflowFailException: before 3.3, instead of a final error.
    :raises AirflowRescheduleException: before 3.3, instead of an error with a wait; it costs none of the retries.
    """
    try:
        yield
    except Exception as error:
        if HAS_POLICIES:
            raise
        if is_final(error):
            raise AirflowFailException(str(error)) from error
        wait = asked_wait(error)
        if wait is None or not _may_wait(context):
            raise
        raise AirflowRescheduleException(datetime.now(UTC) + wait) from error  # type: ignore[no-untyped-call]


def _may_wait(context: Context) -> bool:
    ti = context["ti"]
    first = ti.get_first_reschedule_date(context)
    long_ago = first is not None and datetime.now(UTC) - first > LONGEST_WAIT
    return ti.try_number <= ti.max_tries and not long_ago
