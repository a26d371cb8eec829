"""How a task gives its slot in the pool back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.exceptions import AirflowRescheduleException

#: A task that is queued again before the scheduler has seen its last process end counts as killed, and a supervisor may
#: take five seconds to notice that end. Meanwhile the slot is free for the other batches.
TURN_GAP = timedelta(seconds=15)


def give_slot_back(wait: float = 0.0) -> None:
    """End this turn in the pool's slot; the scheduler lets the task go on after those with higher priority.

    :param wait: seconds after which the API wants to be asked again.
    :raises AirflowRescheduleException: always.
    """
    pause = max(TURN_GAP, timedelta(seconds=wait))
    raise AirflowRescheduleException(datetime.now(UTC) + pause)  # type: ignore[no-untyped-call]
