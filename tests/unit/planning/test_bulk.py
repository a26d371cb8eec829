from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.granularity import BULK_LIMIT_MONTHS
from locus_stem.api.locus import LocusEndpoints
from locus_stem.planning.bulk import BulkParams, chosen_fields, plan_bulk
from locus_stem.planning.intervals import closed_end
from locus_stem.planning.params import ParamError
from locus_stem.planning.slices import months_later
from locus_stem.planning.zones import first_instant, local_day

NOW = datetime(2026, 6, 15, 7, tzinfo=UTC)
ZONES = (
    "America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC",
    "America/Asuncion", "America/Sao_Paulo", "Africa/Cairo", "Asia/Amman", "America/St_Johns", "Pacific/Apia",
)  # fmt: skip
MONTHS = st.integers(0, 12 * 40).map(lambda number: months_later(date(1985, 1, 1), number))


def site(site_id, zone, **other):
    return {"site_id": site_id, "client_id": 1, "location_timezone": zone, "removed_on": None, **other}


def planned(start, end, zones, now=NOW, fields=("Wh_sum",)):
    sites = [site(number, zone) for number, zone in enumerate(zones, 1)]
    return plan_bulk(BulkParams(start, end), sites=sites, clients=[], fields=fields, now=now)


@st.composite
def ranges(draw):
    start = draw(MONTHS)
    return start, months_later(start, draw(st.integers(1, 60)))


@given(ranges(), st.lists(st.sampled_from(ZONES), min_size=1, max_size=30))
def test_closed_months_take_one_request_for_each_distinct_zone_and_twelve_months(period, zones):
    start, end = period
    end = min(end, NOW.date().replace(day=1))
    months = (end.year - start.year) * 12 + end.month - start.month
    plan = planned(start, end, zones)
    assert len(plan.requests) == len(set(zones)) * ceil(months / BULK_LIMIT_MONTHS)


def test_a_zone_of_two_names_is_asked_for_once_and_keeps_the_sites_of_both():
    plan = planned(date(2025, 1, 1), date(2026, 1, 1), ["US/Pacific", "America/Los_Angeles", "us/pacific"])
    assert [request.zone for request in plan.requests] == ["US/Pacific"]
    assert plan.sites == {"US/Pacific": (1, 2, 3)}


@given(ranges(), st.sampled_from(ZONES))
def test_no_request_breaks_a_limit_and_each_is_what_the_endpoint_allows(period, zone):
    for request in planned(*period, [zone]).requests:
        asked = request.slice
        start, end = map(datetime.fromisoformat, (asked.query_start, asked.query_end))
        assert (start.day, start.time()) == (1, datetime.min.time())
        assert end < start.replace(year=start.year + 1)
        assert local_day(asked.end, zone).day == 1
        # not so where the months' first midnight does not exist, or no last day: Kiritimati's of 1994
        assert (end + timedelta(seconds=1)).day == 1 or zone in {
            "Africa/Cairo", "Asia/Amman", "Pacific/Kiritimati",
        }  # fmt: skip
        LocusEndpoints.get_site_bulk_data.request(
            partner_id=1, fields=request.group.fields, start=asked.query_start, end=asked.query_end,
            tz=asked.tz, gran=request.granularity,
        )  # fmt: skip


@given(ranges(), st.sampled_from(ZONES), st.integers(0, 24 * 365 * 45))
def test_exactly_the_closed_months_are_asked_for_each_once(period, zone, hours):
    now = datetime(1985, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    start, end = period
    asked = Counter()
    for request in planned(start, end, [zone], now).requests:
        month, after = (
            local_day(instant, zone).replace(day=1) for instant in (request.slice.start, request.slice.end)
        )
        while month < after:
            asked[month] += 1
            month = months_later(month, 1)
    due = []
    while start < end:
        after = months_later(start, 1)
        if closed_end(first_instant(after, zone), zone, "monthly", now) == first_instant(after, zone):
            due.append(start)
        start = after
    assert asked == Counter(due)


@given(st.lists(st.sampled_from([*ZONES, "America/Los_angeles", None]), max_size=30))
def test_every_site_stands_in_exactly_one_zone(zones):
    plan = planned(date(2025, 1, 1), date(2026, 1, 1), zones)
    assert sorted(number for mine in plan.sites.values() for number in mine) == [*range(1, len(zones) + 1)]
    assert {request.zone for request in plan.requests} == plan.sites.keys()


def test_a_sites_zone_is_its_clients_where_it_has_none_and_removed_sites_are_left_out():
    sites = [
        site(1, None),
        site(2, "Europe/Berlin", client_id=2),
        site(3, "Asia/Kolkata", removed_on=date(2025, 1, 1)),
        site(4, None, client_id=2),
    ]
    plan = plan_bulk(
        BulkParams(date(2025, 1, 1), date(2025, 3, 1)),
        sites=sites, clients=[{"client_id": 1, "tz": "Europe/berlin"}, {"client_id": 2, "tz": None}],
        fields=["Wh_sum"], now=NOW,
    )  # fmt: skip
    assert plan.sites == {"Europe/Berlin": (1, 2), "UTC": (4,)}
    assert len(plan.notes) == 1


def test_an_open_month_is_named_and_not_asked():
    plan = planned(date(2026, 6, 1), date(2026, 8, 1), ["UTC"])
    assert plan.requests == ()
    assert "2026-06" in plan.notes[0]


def test_null_months_are_the_last_closed_one_and_the_eleven_before():
    params = BulkParams.from_raw({"start_month": None, "fields": None}, day=date(2026, 3, 2))
    assert params == BulkParams(date(2025, 3, 1), date(2026, 3, 1), None)
    params = BulkParams.from_raw({"end_month": " "}, day=date(2026, 1, 1))
    assert (params.start, params.end) == (date(2025, 1, 1), date(2026, 1, 1))


def test_a_start_alone_goes_up_to_the_last_closed_month():
    params = BulkParams.from_raw({"start_month": "2019-11"}, day=date(2026, 3, 2))
    assert (params.start, params.end) == (date(2019, 11, 1), date(2026, 3, 1))


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ({"start_month": "2025-13"}, "start_month"),
        ({"start_month": "2025-1"}, "start_month"),
        ({"start_month": "2025-01-01"}, "start_month"),
        ({"start_month": 202501}, "start_month"),
        ({"start_month": "0000-01"}, "start_month"),
        ({"start_month": "1969-12", "end_month": "1970-02"}, "start_month"),
        ({"start_month": "२०२५-०१"}, "start_month"),
        ({"start_month": "2025-01", "end_month": "June"}, "end_month"),
        ({"start_month": "2025-02", "end_month": "2025-02"}, "end_month"),
        ({"start_month": "2025-02", "end_month": "2025-01"}, "end_month"),
        ({"end_month": "2025-01"}, "end_month"),
        ({"start_month": "2026-03"}, "start_month"),
        ({"fields": []}, "fields"),
        ({"fields": ["Wh_sum", 7]}, "fields"),
        ({"start": "2025-01"}, "start"),
    ],
)
def test_a_wrong_param_is_refused_by_name_and_value(raw, name):
    with pytest.raises(ParamError, match=rf"param {name}=") as caught:
        BulkParams.from_raw(raw, day=date(2026, 3, 2))
    assert repr(raw[name]) in str(caught.value)


def available(*names, granularities=("monthly",)):
    return [
        {"short_name": name, "source": source, "granularities": list(granularities)}
        for name, source in zip(names, ["Measured", "Expected", "Modeled"] * 3, strict=False)
    ]


def test_all_listed_fields_are_asked_for_whatever_their_source():
    assert chosen_fields(available("Wh_sum", "Whp_sum", "EER_avg"), None) == ("EER_avg", "Wh_sum", "Whp_sum")
    assert chosen_fields(available("Wh_sum", "Whp_sum"), ("Whp_sum",)) == ("Whp_sum",)


@pytest.mark.parametrize(
    ("rows", "wanted", "words"),
    [
        (available("Wh_sum"), ("Wh_sun",), "did you mean Wh_sum"),
        (available("Wh_sum", granularities=["yearly"]), ("Wh_sum",), "only available at yearly"),
        ([], None, "no field of bulk data"),
    ],
)
def test_fields_that_are_not_there_are_refused_with_what_is(rows, wanted, words):
    with pytest.raises(ParamError, match=words):
        chosen_fields(rows, wanted)
