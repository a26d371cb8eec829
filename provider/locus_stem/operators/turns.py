"""How the pipelines' operators meet Airflow: which errors are final, and how a task gives its slot back."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException

from locus_stem.api.errors import ConfigurationError, FatalError, RefusedError, RetriableError
from locus_stem.planning.params import ParamError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A longer wait than this isn't believed; the task's own retries decide then.
LONGEST_WAIT = timedelta(hours=24)
#: A task that is queued again before the scheduler has seen its last process end counts as killed, and a supervisor may
#: take five seconds to notice that end. Meanwhile the slot is free for the other batches.
TURN_GAP = timedelta(seconds=15)


@contextmanager
def final_errors() -> Iterator[None]:
    """Fail at once, without retries, where a retry can't help; wait outside the slot where the API asks for it.

    Wrong params, connections, lake addresses and credentials, and refusals of what the whole run needs are final.
    Everything else is raised as it is and retried by Airflow.
    """
    from locus_stem.pipelines.plan import NothingAllowedError
    from locus_stem.tables.lake import LakeError
    from locus_stem.tables.staging import StagingError

    try:
        yield
    except (
        ParamError,
        ConfigurationError,
        LakeError,
        FatalError,
        RefusedError,
        NothingAllowedError,
        StagingError,
    ) as error:
        raise AirflowFailException(str(error)) from error
    except RetriableError as error:
        if error.retry_after is None or error.retry_after > LONGEST_WAIT.total_seconds():
            raise
        raise _again_after(timedelta(seconds=error.retry_after)) from error


def give_slot_back(wait: float = 0.0) -> None:
    """End this turn in the pool's slot; the scheduler lets the task go on after those with higher priority.

    :param wait: seconds after which the API wants to be asked again.
    :raises AirflowRescheduleException: always.
    """
    raise _again_after(max(TURN_GAP, timedelta(seconds=wait)))


def _again_after(wait: timedelta) -> AirflowRescheduleException:
    return AirflowRescheduleException(datetime.now(UTC) + wait)  # type: ignore[no-untyped-call]
