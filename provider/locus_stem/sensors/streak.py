"""Since when a rescheduled sensor's looks have failed in a row; each of its looks is a process of its own.

Airflow deletes a task's XComs when a rescheduled task starts again, on 3.1 as on 3.3, and gives the started task the
names of what it deletes. So the instant stands in the name of an XCom that a failed look leaves: the next look finds
it, a look that doesn't fail leaves none, and nothing has to be cleaned up.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_NAME = re.compile(r"failing_since_(\d+)", re.ASCII)


def left_by_the_last_look(context: Context) -> datetime | None:
    """Give the instant that the look before this one left, None where it left none or this is a try's first look."""
    if not context.get("task_reschedule_count"):
        return None
    started = getattr(context["ti"], "_ti_context_from_server", None)
    found = [_NAME.fullmatch(name) for name in getattr(started, "xcom_keys_to_clear", None) or ()]
    instants = [int(match[1]) for match in found if match]
    return datetime.fromtimestamp(min(instants), UTC) if instants else None


def leave_for_the_next_look(context: Context, failing_since: datetime, problem: str) -> None:
    """Leave the instant for the next look, with what has gone wrong for people who see the task's XComs."""
    context["ti"].xcom_push(key=f"failing_since_{int(failing_since.timestamp())}", value=problem)
