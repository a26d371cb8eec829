"""A task's process ends with the one that supervises it.

Airflow starts a task that has lost its supervisor anew. The process that the supervisor has left behind would go on: it
would ask the API beside the new try, past the account's limit, and post alerts after newer ones.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

__all__ = ["EndsWithSupervisor", "end_with_supervisor"]

#: Seconds between two looks whether the supervisor lives.
LOOK_SECONDS = 0.5


def end_with_supervisor() -> None:
    """From now on end this process within a second after its supervisor; ``dag.test()`` has none."""
    if _is_supervised():
        supervisor = os.getppid()
        threading.Thread(target=_watch, args=(supervisor,), name="locus-stem-orphan", daemon=True).start()


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(LOOK_SECONDS)
    # Nobody reads a log of this process any more, and none of its code may run on: not even what cleans up.
    os.kill(os.getpid(), signal.SIGKILL)


def _is_supervised() -> bool:
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CommsDecoder

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), CommsDecoder)


class EndsWithSupervisor:
    """Mixed into an operator or sensor before Airflow's base class: what it does ends with its supervisor."""

    def pre_execute(self, context: Any) -> None:
        """Let the task's process end with its supervisor."""
        end_with_supervisor()
        super().pre_execute(context)  # type: ignore[misc]
