from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.params import BackfillParams, ParamError

DAY = date(2024, 3, 10)


def read(raw: dict[str, Any], *, last_covered: date | None = None, scheduled: bool = False) -> BackfillParams:
    return BackfillParams.from_raw(raw, day=DAY, last_covered=last_covered, scheduled=scheduled)


def test_null_and_absent_params_mean_the_documented_defaults() -> None:
    nulls = dict.fromkeys(
        [
            "start",
            "end",
            "level",
            "granularity",
            "fields",
            "site_ids",
            "component_ids",
            "lookback_days",
            "plan_only",
        ]
    )
    expected = BackfillParams(
        start=date(2024, 3, 3),
        end=date(2024, 3, 11),
        level="site",
        granularity="hourly",
        fields=None,
        site_ids=None,
        component_ids=None,
        plan_only=False,
    )
    assert read({}) == read(nulls) == expected


@pytest.mark.parametrize("lookback", [0, 1, 30, "3"])
def test_the_lookback_is_counted_from_the_runs_day(lookback: int | str) -> None:
    params = read({"lookback_days": lookback})
    assert (params.start, params.end) == (DAY - timedelta(days=int(lookback)), DAY + timedelta(days=1))


@pytest.mark.parametrize(
    ("last_covered", "start"),
    [
        (None, date(2024, 3, 3)),
        (date(2024, 3, 9), date(2024, 3, 3)),
        (date(2024, 3, 20), date(2024, 3, 3)),
        (date(2024, 2, 20), date(2024, 2, 20)),
        (date(2024, 2, 9), date(2024, 2, 9)),
        (date(2024, 2, 8), date(2024, 2, 9)),
        (date(2023, 1, 1), date(2024, 2, 9)),
    ],
)
def test_a_scheduled_run_reaches_back_to_the_last_covered_day_for_at_most_31_days(
    last_covered: date | None, start: date
) -> None:
    params = read({}, last_covered=last_covered, scheduled=True)
    assert (params.start, params.end) == (start, date(2024, 3, 11))


def test_a_run_by_hand_does_not_reach_back() -> None:
    assert read({}, last_covered=date(2024, 2, 20)).start == date(2024, 3, 3)


@pytest.mark.parametrize(
    ("granularity", "start"), [("monthly", date(2024, 3, 1)), ("yearly", date(2024, 1, 1))]
)
def test_a_range_by_lookback_begins_with_a_whole_month_or_year(granularity: str, start: date) -> None:
    assert read({"granularity": granularity}).start == start
    assert read({"granularity": granularity, "start": "2024-02-15"}).start == date(2024, 2, 15)


def test_the_month_that_closed_yesterday_is_in_the_range() -> None:
    raw = {"granularity": "monthly"}
    params = BackfillParams.from_raw(raw, day=date(2024, 3, 1), last_covered=None, scheduled=True)
    assert params.start == date(2024, 2, 1)


def test_a_start_alone_goes_up_to_and_with_the_runs_day_whatever_the_lookback_and_the_coverage() -> None:
    raw = {"start": "2024-01-01", "lookback_days": 99}
    params = read(raw, last_covered=date(2023, 1, 1), scheduled=True)
    assert (params.start, params.end) == (date(2024, 1, 1), date(2024, 3, 11))
    assert read({"start": "2024-03-10"}).end == date(2024, 3, 11)


@pytest.mark.parametrize(
    "given_date",
    [
        "2024-01-05",
        " 2024-01-05 ",
        date(2024, 1, 5),
        datetime(2024, 1, 5),  # noqa: DTZ001
        datetime(2024, 1, 5, tzinfo=UTC),
        "2024-01-05T00:00:00",
        "2024-01-05T00:00:00Z",
        "2024-01-05T00:00:00.000+00:00",
        "2024-01-05 00:00:00",
    ],
)
def test_a_date_may_be_a_text_a_date_or_a_moment_at_midnight(given_date: object) -> None:
    params = read({"start": given_date, "end": "2024-01-06"})
    assert (params.start, params.end) == (date(2024, 1, 5), date(2024, 1, 6))


@pytest.mark.parametrize(
    "given_ids", [[1, 22], (1, 22), ["1", " 22"], "1,22", "1, 22,", ["1", "22", ""], [1, "22", 1]]
)
def test_ids_may_be_numbers_digits_or_comma_separated_text(given_ids: object) -> None:
    params = read({"level": "component", "site_ids": given_ids, "component_ids": given_ids})
    assert params.site_ids == params.component_ids == (1, 22)


def test_one_number_is_a_list_of_one() -> None:
    assert read({"site_ids": 5}).site_ids == (5,)


@pytest.mark.parametrize("given_fields", [["Wh_sum", "W_avg"], "Wh_sum,W_avg", " Wh_sum , W_avg,Wh_sum"])
def test_fields_may_be_a_list_or_comma_separated_text(given_fields: object) -> None:
    assert read({"fields": given_fields}).fields == ("Wh_sum", "W_avg")


@pytest.mark.parametrize("name", ["fields", "site_ids", "start", "granularity", "lookback_days", "plan_only"])
def test_blank_text_is_null(name: str) -> None:
    assert read({name: "  "}) == read({})


@pytest.mark.parametrize("granularity", ["1min", "5min", "15min", "hourly", "daily", "monthly", "yearly"])
@pytest.mark.parametrize("level", ["site", "component"])
def test_every_granularity_of_intervals_goes_with_every_level(granularity: str, level: str) -> None:
    params = read({"granularity": granularity, "level": level, "plan_only": True})
    assert (params.granularity, params.level, params.plan_only) == (granularity, level, True)


@pytest.mark.parametrize(
    ("raw", "param", "says"),
    [
        ({"end": "2024-01-01"}, "end", "needs a start"),
        ({"start": "2024-01-02", "end": "2024-01-01"}, "end", "after the start, 2024-01-02"),
        ({"start": "2024-01-02", "end": "2024-01-02"}, "end", "after the start"),
        ({"start": "2024-03-11"}, "start", "after the run's day, 2024-03-10"),
        ({"start": "1969-12-31"}, "start", "from 1970-01-01 to 2100-12-31"),
        ({"start": "2024-01-01", "end": "2101-01-01"}, "end", "from 1970-01-01 to 2100-12-31"),
        ({"start": "2024-01-01T12:00:00"}, "start", "without a time of day"),
        ({"start": "2024-1-1"}, "start", "YYYY-MM-DD"),
        ({"start": "20240101"}, "start", "YYYY-MM-DD"),
        ({"start": "2024-W01-1"}, "start", "YYYY-MM-DD"),
        ({"start": "2024-02-30"}, "start", "YYYY-MM-DD"),
        ({"start": "01/02/2024"}, "start", "YYYY-MM-DD"),
        ({"start": 20240101}, "start", "YYYY-MM-DD"),
        ({"start": True}, "start", "YYYY-MM-DD"),
        ({"granularity": "latest"}, "granularity", "1min, 5min, 15min, hourly, daily, monthly, yearly"),
        ({"granularity": "weekly"}, "granularity", "1min, 5min"),
        ({"granularity": 15}, "granularity", "1min, 5min"),
        ({"granularity": ["hourly"]}, "granularity", "1min, 5min"),
        ({"level": "sites"}, "level", "site, component"),
        ({"site_ids": [0]}, "site_ids", "above 0"),
        ({"site_ids": [-3]}, "site_ids", "above 0"),
        ({"site_ids": [1.5]}, "site_ids", "1.5 is not an id"),
        ({"site_ids": [True]}, "site_ids", "True is not an id"),
        ({"site_ids": True}, "site_ids", "list of ids"),
        ({"site_ids": []}, "site_ids", "null for all"),
        ({"site_ids": {"1": 2}}, "site_ids", "list of ids"),
        ({"site_ids": "1;2"}, "site_ids", "'1;2' is not an id"),
        ({"site_ids": ["", " "]}, "site_ids", "null for all"),
        ({"site_ids": ","}, "site_ids", "null for all"),
        ({"site_ids": ["²"]}, "site_ids", "is not an id"),
        ({"level": "component", "component_ids": ["x"]}, "component_ids", "'x' is not an id"),
        ({"component_ids": [1]}, "component_ids", "only with level=component"),
        ({"fields": []}, "fields", "null for every Measured field"),
        ({"fields": [""]}, "fields", "shortNames"),
        ({"fields": [1]}, "fields", "shortNames"),
        ({"fields": 5}, "fields", "shortNames"),
        ({"fields": {"Wh_sum": 1}}, "fields", "shortNames"),
        ({"fields": ["W_avg,Wh_sum"]}, "fields", "shortNames"),
        ({"lookback_days": -1}, "lookback_days", "whole number of days from 0"),
        ({"lookback_days": 1.5}, "lookback_days", "whole number of days from 0"),
        ({"lookback_days": True}, "lookback_days", "whole number of days from 0"),
        ({"lookback_days": 10**12}, "lookback_days", "whole number of days from 0"),
        ({"plan_only": "true"}, "plan_only", "true or false"),
        ({"plan_only": 1}, "plan_only", "true or false"),
        ({"site_id": [1]}, "site_id", "did you mean site_ids?"),
    ],
)
def test_a_refusal_names_the_param_the_value_and_what_is_allowed(
    raw: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(ParamError) as caught:
        read(raw)
    assert caught.value.param == param
    assert caught.value.value == raw[param]
    assert param in str(caught.value)
    assert repr(raw[param]) in str(caught.value)
    assert says in str(caught.value)


def test_a_param_error_survives_the_way_between_processes() -> None:
    error = ParamError("level", "sites", "one of site, component is needed")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.param, again.value) == (str(error), "level", "sites")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
names = st.sampled_from(
    ["start", "end", "level", "granularity", "fields", "site_ids", "lookback_days", "plan_only"]
)


@given(
    st.dictionaries(names, anything),
    st.dates(date(1971, 1, 1), date(2100, 1, 1)),
    st.none() | st.dates(),
    st.booleans(),
)
def test_whatever_is_typed_gives_a_range_of_dates_or_a_refusal(
    raw: dict[str, Any], day: date, last_covered: date | None, scheduled: bool
) -> None:
    refused: str | None = None
    try:
        params = BackfillParams.from_raw(raw, day=day, last_covered=last_covered, scheduled=scheduled)
    except ParamError as error:
        refused = error.param
    if refused is None:
        assert date(1970, 1, 1) <= params.start < params.end <= date(2100, 12, 31)
    else:
        assert refused in raw
