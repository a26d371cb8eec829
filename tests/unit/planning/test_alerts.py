from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.alerts import (
    ServerClock,
    is_check_due,
    mark_after,
    oldest_since,
    open_now,
    slices,
    updated_since_from,
)
from locus_stem.planning.params import ParamError

NOW = datetime(2025, 3, 1, 12, 7, 30, tzinfo=UTC)
WEEK, MONTH = timedelta(days=7), timedelta(days=31)
HALF_AN_HOUR = timedelta(minutes=30)

ages = st.one_of(
    st.timedeltas(timedelta(hours=1), timedelta(days=800)),
    st.timedeltas(WEEK - timedelta(hours=3), WEEK + timedelta(hours=3)),
    st.integers(1, 20).map(lambda months: months * MONTH + timedelta(days=4)),
)
offsets = st.timedeltas(-HALF_AN_HOUR, HALF_AN_HOUR)


def run(cursor, ahead, *, shows_date, took=timedelta(seconds=8)):
    """Plan as a sync does: the periods, where updatedSince begins, and the server's clock at the end."""
    own, asked, read_to, known = NOW, [], cursor, None
    while planned := slices(read_to, ServerClock(own, known)):
        for period in planned:
            asked.append((period, own + ahead))
            own += took
            read_to = period.mark
        known = ahead if shows_date else None
    since = oldest_since(ServerClock(own, known)) if asked else read_to
    return asked, since, own + ahead


@given(age=ages, ahead=offsets, shows_date=st.booleans())
def test_every_request_is_within_the_limits_by_the_servers_clock(age, ahead, shows_date):
    asked, since, server_now = run(NOW - age, ahead, shows_date=shows_date)
    for period, there in asked:
        assert period.start < period.end <= there
        assert period.end - period.start <= MONTH
        assert period.start.microsecond == period.end.microsecond == 0
    assert server_now - since <= WEEK
    assert since <= server_now


@given(
    age=ages,
    ahead=offsets,
    shows_date=st.booleans(),
    at=st.floats(0, 1),
    ended_before=st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=3))),
    lasted=st.timedeltas(timedelta(0), timedelta(days=200)),
)
def test_every_change_after_the_cursor_is_shown(age, ahead, shows_date, at, ended_before, lasted):
    """An alert that was last updated then, being open or having ended up to three days before."""
    cursor = NOW - age
    asked, since, server_now = run(cursor, ahead, shows_date=shows_date)
    updated = cursor + at * (server_now - cursor)
    end = None if ended_before is None else updated - ended_before
    start = (end or updated) - lasted
    shown = updated >= since or any(
        start < period.end and (end is None or end >= period.start) for period, _ in asked
    )
    assert shown


@given(age=ages, ahead=offsets)
def test_no_more_periods_are_asked_than_the_gap_needs(age, ahead):
    cursor = NOW - age
    asked, _, _ = run(cursor, ahead, shows_date=True)
    # by a clock that may be half an hour off, less the leeway
    within = WEEK - HALF_AN_HOUR - timedelta(minutes=5)
    if age <= within:
        assert asked == []
        return
    gap = age - WEEK + timedelta(hours=1) + timedelta(days=3)
    assert 1 <= len(asked) <= math.ceil(gap / MONTH)


@given(age=ages, ahead=offsets, shows_date=st.booleans())
def test_what_a_period_has_read_is_inside_it_and_never_further_than_updated_since_reaches(
    age, ahead, shows_date
):
    cursor = NOW - age
    asked, since, _ = run(cursor, ahead, shows_date=shows_date)
    marks = [cursor, *(period.mark for period, _ in asked)]
    assert marks == sorted(marks)
    for period, _ in asked:
        assert period.mark <= period.end
    assert marks[-1] >= since


@pytest.mark.parametrize(
    "ahead", [timedelta(days=-9), timedelta(hours=-3), timedelta(hours=3), timedelta(days=9)]
)
def test_clocks_that_are_hours_or_days_apart_are_caught_up_once_a_date_was_seen(ahead):
    asked, since, server_now = run(NOW - timedelta(days=20), ahead, shows_date=True)
    assert 1 <= len(asked) <= 3
    assert timedelta(0) <= server_now - since <= WEEK
    assert asked[-1][0].mark >= since


def test_the_first_sync_asks_for_the_last_31_days_and_then_for_7_days_less_5_minutes():
    asked, since, server_now = run(None, timedelta(0), shows_date=True, took=timedelta(0))
    assert [period.end - period.start for period, _ in asked] == [MONTH]
    assert server_now - since == WEEK - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("outage", "periods"), [(timedelta(hours=3), 0), (timedelta(days=10), 1), (timedelta(days=80), 3)]
)
def test_an_outage_takes_so_many_periods(outage, periods):
    asked, since, _ = run(NOW - outage, timedelta(0), shows_date=True)
    assert len(asked) == periods
    if not periods:
        assert since == NOW - outage


@given(ahead=offsets, known=st.booleans())
def test_open_alerts_are_asked_for_in_a_period_that_has_ended_at_the_server(ahead, known):
    period = open_now(ServerClock(NOW, ahead if known else None))
    assert timedelta(0) <= NOW + ahead - period.end <= timedelta(hours=1, seconds=1)
    assert period.end - period.start == MONTH


@given(ahead=st.timedeltas(-timedelta(days=2), timedelta(days=2)))
def test_the_next_cursor_is_an_hour_before_the_earlier_clock(ahead):
    assert mark_after(NOW, NOW + ahead) <= min(NOW, NOW + ahead) - timedelta(hours=1)
    assert mark_after(NOW, None) == NOW - timedelta(hours=1)


def test_open_alerts_are_due_in_the_first_run_of_a_day():
    assert is_check_due(None, NOW)
    assert not is_check_due(NOW - timedelta(hours=12), NOW)
    assert is_check_due(NOW - timedelta(hours=13), NOW)
    assert is_check_due(NOW + timedelta(days=400), NOW)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (None, None),
        (" ", None),
        ("2025-02-01T08:00:00", datetime(2025, 2, 1, 8, tzinfo=UTC)),
        (" 2025-02-01 08:00 ", datetime(2025, 2, 1, 8, tzinfo=UTC)),
        ("2025-02-01T08:00:00.250Z", datetime(2025, 2, 1, 8, tzinfo=UTC)),
        ("2025-02-01T08:00:00-07:00", datetime(2025, 2, 1, 15, tzinfo=UTC)),
        ("2025-02-01", datetime(2025, 2, 1, tzinfo=UTC)),
        (datetime(2025, 2, 1, 8), datetime(2025, 2, 1, 8, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2025, 2, 1, 8, tzinfo=timezone(timedelta(hours=2))), datetime(2025, 2, 1, 6, tzinfo=UTC)),
    ],
)
def test_updated_since_is_read_with_its_zone_or_in_utc(value, instant):
    assert updated_since_from({"updated_since": value}, NOW) == instant


@pytest.mark.parametrize("value", ["yesterday", "2025-02-30", 5, True, [], "1969-01-01", "99999-01-01", {}])
def test_a_wrong_updated_since_is_refused_with_what_is_allowed(value):
    with pytest.raises(ParamError, match=r"updated_since=.*an instant YYYY-MM-DDThh:mm:ss") as refused:
        updated_since_from({"updated_since": value}, NOW)
    assert repr(value) in str(refused.value)


def test_an_updated_since_in_the_future_is_refused():
    with pytest.raises(ParamError, match="lies in the future"):
        updated_since_from({"updated_since": "2025-03-01T13:07:31+01:00"}, NOW)
