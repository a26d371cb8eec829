from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.stem import RESOLUTIONS, STREAM_TYPES, STREAMS_LIMIT, StemEndpoints
from locus_stem.planning.params import ParamError
from locus_stem.planning.request import DataRequest
from locus_stem.planning.stem import StreamParams, plan_streams, reach, stream_slices

NOW = datetime(2026, 6, 15, 7, 4, 9, 500, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATES = st.integers(0, 4000).map(lambda days: date(2015, 1, 1) + timedelta(days=days))
MOMENTS = st.integers(0, 4000 * 86_400).map(lambda s: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
STARTS = st.dictionaries(st.sampled_from(STREAM_TYPES), MOMENTS)
RESOLUTION = st.sampled_from(RESOLUTIONS)


def site(name, **starts):
    """A row of `stem_sites`; starts are instants."""
    return {
        "site_id": name,
        "client_id": "c",
        "stream_start_times": json.dumps({kind: f"{at:%Y-%m-%dT%H:%M:%SZ}" for kind, at in starts.items()}),
    }


def planned(params, *sites, now=NOW, **other):
    return plan_streams(params, **{"sites": sites, "unlisted": {}, "refused": {}, "now": now, **other})


def midnight(day):
    return datetime.combine(day, time(), UTC)


def intervals(start, end, step):
    """First instants, on the grid, of the intervals in [start, end)."""
    at = EPOCH + -((EPOCH - start) // step) * step
    while at + step <= end:
        yield at
        at += step


@st.composite
def spans(draw):
    start = draw(DATES)
    return start, start + timedelta(days=draw(st.sampled_from([1, 2, 7, 31, 364, 365, 366, 730, 1100])))


@given(spans(), RESOLUTION, STARTS, MOMENTS)
def test_each_stream_is_asked_for_exactly_its_closed_intervals_each_once(span, resolution, starts, now):
    step = timedelta(seconds=resolution)
    plan = planned(StreamParams(*span, resolution=resolution), site("s", **starts), now=now)
    asked = {name: Counter() for name in starts}
    for request in plan.requests:
        for name in request.group.fields:
            first = max(request.slice.start, plan.starts["s"][name])
            asked[name].update(intervals(first, request.slice.end, step))
    for name, begun in starts.items():
        first = max(midnight(span[0]), EPOCH + (begun - EPOCH) // step * step)
        due = intervals(first, min(midnight(span[1]), now), step)
        assert asked[name] == Counter(due)


@given(spans(), RESOLUTION, STARTS, MOMENTS)
def test_each_request_is_within_a_year_margins_included_and_never_past_now(span, resolution, starts, now):
    margin = timedelta(seconds=2 * resolution)
    for request in planned(StreamParams(*span, resolution=resolution), site("s", **starts), now=now).requests:
        kept = request.slice
        start, end = map(datetime.fromisoformat, (kept.query_start, kept.query_end))
        assert timedelta(seconds=resolution) <= end - start <= STREAMS_LIMIT
        assert kept.start < kept.end <= end <= now
        first, step = min(starts.values()), timedelta(seconds=resolution)
        assert start == max(kept.start - margin, EPOCH + (first - EPOCH) // step * step)
        assert end == kept.end + margin or now - end < timedelta(seconds=1)
        StemEndpoints.get_site_streams.request(
            site_id=request.name, start=kept.query_start, end=kept.query_end, resolution=resolution,
            stream_type=request.group.fields,
        )  # fmt: skip


@given(spans(), RESOLUTION, st.one_of(st.none(), MOMENTS))
def test_the_slices_are_the_fewest_that_a_year_with_its_margins_allows(span, resolution, begun):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    step = timedelta(seconds=resolution)
    first, last = map(midnight, span)
    known = {} if begun is None else {"begun": EPOCH + (begun - EPOCH) // step * step}
    found = stream_slices(*span, resolution, now, **known)
    at = max(first, known.get("begun", first))
    if at >= last:
        assert found == []
        return
    front = min(2 * step, at - known["begun"]) if known else 2 * step
    after_first = max(timedelta(), last - at - (STREAMS_LIMIT - 2 * step - front))
    assert len(found) == 1 + ceil(after_first / (STREAMS_LIMIT - 4 * step))


@given(spans(), RESOLUTION, MOMENTS)
def test_an_answer_reaches_to_the_slices_end_unless_now_cut_its_margin_off(span, resolution, now):
    step = timedelta(seconds=resolution)
    for kept in stream_slices(*span, resolution, now):
        assert kept.end - 2 * step <= reach(kept, resolution) <= kept.end
        if now >= kept.end + 2 * step:
            assert reach(kept, resolution) == kept.end


def test_a_site_and_a_year_less_the_margins_is_one_request_of_all_its_streams():
    everything = dict.fromkeys(STREAM_TYPES, datetime(2020, 1, 1, tzinfo=UTC))
    plan = planned(StreamParams(date(2025, 1, 1), date(2025, 12, 31)), site("s", **everything))
    (request,) = plan.requests
    assert request.group.fields == STREAM_TYPES
    assert (request.slice.query_start, request.slice.query_end) == (
        "2024-12-31T23:30:00Z", "2025-12-31T00:30:00Z",
    )  # fmt: skip
    assert DataRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_stream_is_left_out_of_slices_that_end_before_it_begins():
    plan = planned(
        StreamParams(date(2022, 1, 1), date(2024, 1, 1)),
        site("s", MONITOR=datetime(2021, 1, 1, tzinfo=UTC), CONVERTER=datetime(2023, 6, 1, tzinfo=UTC)),
    )
    assert [request.group.fields for request in plan.requests] == [
        ("MONITOR",), ("MONITOR", "CONVERTER"), ("MONITOR", "CONVERTER"),
    ]  # fmt: skip


def test_a_stream_that_a_site_lacks_is_not_asked_for_and_is_no_failure():
    old = datetime(2020, 1, 1, tzinfo=UTC)
    params = StreamParams(date(2026, 1, 1), date(2026, 1, 2), stream_types=("CONVERTER", "INTERVAL_REVENUE"))
    plan = planned(params, site("a", MONITOR=old), site("b", MONITOR=old, CONVERTER=old))
    assert [(request.name, request.group.fields) for request in plan.requests] == [("b", ("CONVERTER",))]
    assert plan.skipped == {"a": "the site has no stream CONVERTER or INTERVAL_REVENUE"}
    assert plan.refused == {}
    assert set(plan.notes) == {"2 of 2 sites have no INTERVAL_REVENUE", "1 of 2 sites have no CONVERTER"}


def test_a_site_without_a_list_of_streams_is_asked_for_all_and_one_with_an_empty_list_for_none():
    params = StreamParams(date(2026, 1, 1), date(2026, 1, 2))
    unknown = {"site_id": "a", "client_id": "c", "stream_start_times": None}
    undated = {"site_id": "b", "client_id": "c", "stream_start_times": '{"MONITOR": null, "SOLAR": "soon"}'}
    plan = planned(params, unknown, undated, site("c"))
    assert [(request.name, request.group.fields) for request in plan.requests] == [
        ("a", STREAM_TYPES), ("b", ("MONITOR",)),
    ]  # fmt: skip
    assert plan.skipped == {"c": "the site has no stream at all"}
    assert any("SOLAR" in note for note in plan.notes)


def test_sites_that_are_no_longer_listed_or_refused_are_not_asked_and_named_ones_are_named():
    old = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [site(name, MONITOR=old) for name in ("gone", "here", "refused")]
    excluded = {"unlisted": {"gone": "not since Monday"}, "refused": {"refused": "HTTP 403"}}
    span = date(2026, 1, 1), date(2026, 1, 2)
    plan = planned(StreamParams(*span), *rows, **excluded)
    assert [request.name for request in plan.requests] == ["here"]
    assert (plan.skipped, plan.refused) == ({}, {"refused": "HTTP 403"})
    plan = planned(StreamParams(*span, site_ids=("gone",)), *rows, **excluded)
    assert (plan.requests, plan.skipped) == ((), {"gone": "not since Monday"})


def test_some_sites_begin_earlier_than_the_range_where_they_have_a_hole():
    old = datetime(2020, 1, 1, tzinfo=UTC)
    plan = planned(
        StreamParams(date(2026, 1, 8), date(2026, 1, 9)),
        site("a", MONITOR=old),
        site("b", MONITOR=old),
        start_of=lambda name, types, zone: date(2026, 1, 1 if name == "b" else 8),
    )
    assert [request.slice.start.day for request in plan.requests] == [8, 1]


def read(raw, **other):
    return StreamParams.from_raw(
        raw, **{"day": date(2026, 3, 10), "last_covered": None, "scheduled": False, **other}
    )


def test_null_params_mean_the_documented_defaults():
    assert read({"start": None, "stream_types": None, "resolution": None, "site_ids": " "}) == StreamParams(
        date(2026, 3, 3), date(2026, 3, 11), None, 900, None, False
    )
    reached = read({}, last_covered=date(2026, 2, 20), scheduled=True)
    assert reached.start == date(2026, 2, 20)
    assert read({}, last_covered=date(2025, 1, 1), scheduled=True).start == date(2026, 2, 8)
    assert read({}, last_covered=date(2026, 2, 20)).start == date(2026, 3, 3)


@pytest.mark.parametrize(
    ("given_ids", "names"),
    [
        (["plant/north/3", "Lager Süd 4", "a, b"], ("plant/north/3", "Lager Süd 4", "a, b")),
        ("a, b", ("a, b",)),
        ("plant/north/3\nLager Süd 4\n", ("plant/north/3", "Lager Süd 4")),
        (["x", "", "x"], ("x",)),
        ([7, "8"], ("7", "8")),
        (7, ("7",)),
    ],
)
def test_site_ids_are_names_with_any_characters_one_an_item_or_one_a_line(given_ids, names):
    assert read({"site_ids": given_ids}).site_ids == names


def test_a_name_is_found_as_it_is_given_or_without_the_blanks_around_it():
    old = datetime(2020, 1, 1, tzinfo=UTC)
    rows = [site(name, MONITOR=old) for name in ("a, b", " c ", "d")]
    params = read({"site_ids": ["a, b\r", " c ", " d"]})
    assert {request.name for request in planned(params, *rows).requests} == {"a, b", " c ", "d"}


@pytest.mark.parametrize(
    "given_types", [["converter", "MONITOR"], "CONVERTER, monitor", ["MONITOR", "CONVERTER", ""]]
)
def test_stream_types_may_be_a_list_or_text_in_any_case(given_types):
    assert read({"stream_types": given_types}).stream_types == ("MONITOR", "CONVERTER")


@pytest.mark.parametrize(
    ("raw", "name", "says"),
    [
        ({"stream_types": ["SOLAR"]}, "stream_types", "MONITOR, CONVERTER, INTERVAL_REVENUE"),
        ({"stream_types": []}, "stream_types", "MONITOR, CONVERTER, INTERVAL_REVENUE"),
        ({"resolution": 60}, "resolution", "900, 1800, 3600"),
        ({"resolution": "hourly"}, "resolution", "900, 1800, 3600"),
        ({"resolution": True}, "resolution", "900, 1800, 3600"),
        ({"site_ids": [{"id": 1}]}, "site_ids", "one a line"),
        ({"site_ids": [True]}, "site_ids", "one a line"),
        ({"end": "2026-01-01"}, "end", "needs a start"),
        ({"start": "2026-02-01", "end": "2026-02-01"}, "end", "after the start"),
        ({"lookback_days": -1}, "lookback_days", "whole number"),
        ({"plan_only": "yes"}, "plan_only", "true or false"),
        ({"granularity": "hourly"}, "granularity", "no such param"),
    ],
)
def test_a_wrong_param_is_refused_by_name_and_value_with_what_is_allowed(raw, name, says):
    with pytest.raises(ParamError, match=rf"param {name}=") as caught:
        read(raw)
    assert repr(raw[name]) in str(caught.value)
    assert says in str(caught.value)


def test_a_site_that_is_not_known_is_refused_with_some_that_are():
    params = read({"site_ids": ["white house, 1"]})
    with pytest.raises(
        ParamError, match="there is no site 'white house, 1'; 1 are known, such as 'white_house_1'"
    ):
        planned(params, site("white_house_1", MONITOR=NOW))
