from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from locus_stem.demo.__main__ import month_with_clock_change
from locus_stem.demo.noon import seconds_past_noon


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [((11, 50), 0.0), ((11, 51), 542.0), ((12, 0), 2.0), ((12, 0, 1), 0.0), ((23, 59), 0.0)],
)
def test_what_lasts_ten_minutes_waits_where_noon_would_come_meanwhile(clock, seconds):
    now = datetime(2027, 3, 14, *clock, tzinfo=UTC)
    assert seconds_past_noon(now, timedelta(minutes=10)) == seconds


def test_the_month_with_a_clock_change_is_one_before_the_days_own():
    assert month_with_clock_change(date(2026, 11, 30)) == (date(2026, 10, 1), date(2026, 11, 1))
    assert month_with_clock_change(date(2026, 12, 1)) == (date(2026, 11, 1), date(2026, 12, 1))
    assert month_with_clock_change(date(2027, 1, 31)) == (date(2026, 11, 1), date(2026, 12, 1))
