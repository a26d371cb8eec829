"""The day that a run stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from typing import Any


def run_day(context: Mapping[str, Any]) -> date:
    """Give the UTC date on which the run's data interval starts.

    A run triggered by hand without a logical date has no data interval: then it is the one that the timetable infers
    from ``run_after``, the last complete one before it.
    """
    dag_run = context["dag_run"]
    start = dag_run.data_interval_start
    if start is None:
        run_after = pendulum.instance(dag_run.run_after)
        start = context["dag"].timetable.infer_manual_data_interval(run_after=run_after).start
    day: date = pendulum.instance(start).in_timezone("UTC").date()
    return day


def closed_as_of(context: Mapping[str, Any]) -> date:
    """Give the UTC date as of which a run looks back at months that are over.

    It is the end of the data interval, for a run of a logical date by hand that date, and without either the date on
    which the run was asked for.
    """
    dag_run = context["dag_run"]
    moments = [moment for moment in (dag_run.data_interval_end, dag_run.logical_date) if moment is not None]
    day: date = pendulum.instance(max(moments, default=dag_run.run_after)).in_timezone("UTC").date()
    return day
