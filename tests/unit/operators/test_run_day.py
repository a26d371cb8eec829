from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from locus_stem.dags.wiring import timetable
from locus_stem.operators.run_day import closed_as_of, run_day


def context(run_after, data_interval_start=None):
    dag_run = SimpleNamespace(data_interval_start=data_interval_start, run_after=run_after)
    return {"dag_run": dag_run, "dag": SimpleNamespace(timetable=timetable("0 12 * * *"))}


def test_the_days_date_is_that_of_the_data_intervals_start():
    start = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert run_day(context(datetime(2026, 3, 8, 12, tzinfo=UTC), start)) == date(2026, 3, 7)


@pytest.mark.parametrize(
    ("run_after", "day"),
    [
        (datetime(2026, 3, 8, 11, 59, tzinfo=UTC), date(2026, 3, 6)),
        (datetime(2026, 3, 8, 12, 0, tzinfo=UTC), date(2026, 3, 7)),
        (datetime(2026, 3, 8, 23, 0, tzinfo=UTC), date(2026, 3, 7)),
    ],
)
def test_a_run_without_interval_takes_the_last_complete_one(run_after, day):
    assert run_day(context(run_after)) == day


def bulk_run(run_after, data_interval_end=None, logical_date=None):
    dag_run = SimpleNamespace(
        data_interval_end=data_interval_end, logical_date=logical_date, run_after=run_after
    )
    return {"dag_run": dag_run}


def test_months_are_closed_as_of_the_intervals_end_the_logical_date_or_the_request():
    asked, ended = datetime(2026, 4, 9, tzinfo=UTC), datetime(2026, 3, 2, 13, tzinfo=UTC)
    assert closed_as_of(bulk_run(asked, ended, datetime(2026, 2, 2, 13, tzinfo=UTC))) == ended.date()
    assert closed_as_of(bulk_run(asked, ended, datetime(2026, 4, 1, 5, tzinfo=UTC))) == date(2026, 4, 1)
    assert closed_as_of(bulk_run(asked)) == asked.date()
