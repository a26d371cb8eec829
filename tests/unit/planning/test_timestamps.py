from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.shown import described
from locus_stem.planning.timestamps import interval_start_from_answer, parse_instant
from locus_stem.planning.zones import first_instant

NOON = datetime(2014, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "ts",
    [
        "2014-01-01T12:00:00Z",
        "2014-01-01T12:00:00-00:00",
        "2014-01-01T12:00:00+00:00",
        "2014-01-01T05:00:00-07:00",
        "2014-01-01T12:00:00",
        "2014-01-01T17:30:00+05:30",
    ],
)
@pytest.mark.parametrize("granularity", ["1min", "5min", "15min", "hourly"])
def test_below_daily_the_answer_is_taken_as_it_stands(ts: str, granularity: str) -> None:
    start = interval_start_from_answer(ts, "America/Denver", granularity)
    assert start == NOON
    assert start.tzinfo is UTC


@pytest.mark.parametrize("offset", ["", "Z", "-00:00", "-07:00", "-08:00", "+09:00"])
@pytest.mark.parametrize("clock", ["00:00:00", "01:00:00", "12:00:00"])
@pytest.mark.parametrize("granularity", ["daily", "monthly", "yearly"])
def test_from_daily_up_only_the_wall_clock_date_counts(offset: str, clock: str, granularity: str) -> None:
    start = interval_start_from_answer(f"2014-01-01T{clock}{offset}", "America/Los_Angeles", granularity)
    assert start == datetime(2014, 1, 1, 8, tzinfo=UTC)


@given(
    st.dates(date(1970, 1, 2), date(2100, 12, 31)),
    st.sampled_from(["America/Sao_Paulo", "Asia/Kolkata", "UTC"]),
)
def test_a_daily_start_is_the_first_instant_of_its_date(day: date, zone: str) -> None:
    assert interval_start_from_answer(f"{day}T00:00:00-07:00", zone, "daily") == first_instant(day, zone)


@given(
    st.datetimes(datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2100-01-01")).map(
        lambda stamp: stamp.replace(microsecond=0)
    ),
    st.integers(-14 * 4, 14 * 4),
)
def test_any_offset_names_the_same_instant(stamp: datetime, quarters: int) -> None:
    instant = stamp.replace(tzinfo=UTC)
    shifted = (stamp + timedelta(minutes=15 * quarters)).isoformat()
    sign, minutes = "-" if quarters < 0 else "+", abs(quarters) * 15
    assert parse_instant(f"{shifted}{sign}{minutes // 60:02}:{minutes % 60:02}") == instant


def test_a_text_without_an_offset_is_wall_time_in_the_asked_zone() -> None:
    expected = datetime(2014, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert parse_instant("2014-07-01T12:00:00", "Europe/Berlin") == expected


@pytest.mark.parametrize(
    "ts",
    [
        "",
        "yesterday",
        "2014-13-01T00:00:00Z",
        "2014-02-30T00:00:00Z",
        None,
        1388577600,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31T00:00:00Z",
        "2101-01-01T00:00:00Z",
    ],
)
@pytest.mark.parametrize("granularity", ["15min", "daily"])
def test_garbage_and_absurd_years_are_value_errors_that_describe_it(ts: str, granularity: str) -> None:
    with pytest.raises(ValueError, match="ts ") as caught:
        interval_start_from_answer(ts, "UTC", granularity)
    assert described(ts) in str(caught.value)
