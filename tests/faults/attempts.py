"""A task with its retries, as Airflow would run it; its own delay between two tries is left out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from locus_stem.dags.wiring import DEFAULT_ARGS
from locus_stem.operators.retries import asked_wait, is_final

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def attempted(task: Callable[[], T], retries: int = DEFAULT_ARGS["retries"]) -> T:
    """Run a task until it succeeds; an error that no retry mends, or one too many, is raised."""
    while True:
        try:
            return task()
        except Exception as error:
            if retries == 0 or is_final(error):
                raise
            retries -= 1
            wait = asked_wait(error)
            if wait is not None:
                time.sleep(wait.total_seconds())
