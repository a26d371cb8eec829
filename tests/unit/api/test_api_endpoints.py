# ruff: noqa: DTZ001 - the Locus API takes times without a zone
from __future__ import annotations

import inspect
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api import LOCUS_ENDPOINTS, STEM_ENDPOINTS, Call, LocusEndpoints, StemEndpoints

if TYPE_CHECKING:
    from locus_stem.api.endpoint import Endpoint

WEEK = {
    "site_id": 7,
    "fields": ["Wh_sum"],
    "start": "2024-01-01T00:00:00",
    "end": "2024-01-02T00:00:00",
    "tz": "UTC",
}
ALERTS = {"partner_id": 1, "tz": "UTC"}


class Recorder(LocusEndpoints):
    def call(self, call: Call) -> Call:
        return call


def data(**changes: Any) -> Call:
    return LocusEndpoints.get_site_data.request(**{"gran": "hourly", **WEEK, **changes})


def test_on_an_instance_an_endpoint_is_a_method_that_sends_its_call() -> None:
    recorder = Recorder()
    assert recorder.get_site(5) == recorder.get_site(site_id=5) == LocusEndpoints.get_site.request(site_id=5)


@pytest.mark.parametrize("endpoint", [*LOCUS_ENDPOINTS, *STEM_ENDPOINTS], ids=lambda one: one.name)
def test_a_method_has_name_signature_and_documentation(endpoint: Endpoint) -> None:
    owner = type("Owner", (), {endpoint.name: endpoint, "call": lambda _, call: call})
    method = getattr(owner(), endpoint.name)
    assert method.__name__ == endpoint.name
    assert list(inspect.signature(method).parameters) == [param.argument for param in endpoint.params]
    for name, parameter in inspect.signature(method).parameters.items():
        assert f":param {name}: " in (method.__doc__ or "")
        is_required = next(param.required for param in endpoint.params if param.argument == name)
        assert (parameter.default is inspect.Parameter.empty) == is_required
    assert f"{endpoint.method} {endpoint.path}" in (method.__doc__ or "")


def test_more_ids_by_position_than_the_path_has_are_refused() -> None:
    with pytest.raises(TypeError, match="takes 1 ids by position, 2 were given"):
        Recorder().get_site(1, 2)


def test_wildcards_go_percent_encoded() -> None:
    call = LocusEndpoints.get_partner_components.request(partner_id=123, node_id="%AB 1&c%", notes="%ü%")
    assert call.target == "/v3/partners/123/components?nodeId=%25AB%201%26c%25&notes=%25%C3%BC%25"


def test_the_filters_of_alerts_are_written_as_the_reference_lists_them() -> None:
    call = LocusEndpoints.get_site_alerts.request(
        site_id=1,
        tz="US/Pacific",
        updated_since=datetime(2024, 5, 1, 2, 3, 4),
        alert_type=["device fault", "Zero Generation"],
        status="OPEN",
        priority="High,low",
    )
    assert call.params == [
        ("updatedSince", "2024-05-01T02:03:04"),
        ("alertType", "Device Fault,Zero Generation"),
        ("status", "open"),
        ("priority", "high,low"),
        ("tz", "US/Pacific"),
    ]
    assert "alertType=Device%20Fault,Zero%20Generation" in call.target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"alert_type": ["Bad"]},
            r"alert_type: \['Bad'\] is refused; allowed: one or more of Device Fault, ",
        ),
        ({"status": "ajar"}, "status: 'ajar' is refused; allowed: one of open, closed"),
        ({"priority": "urgent"}, "priority: 'urgent' is refused; allowed: one or more of high, medium, low"),
        ({"updated_since": "yesterday"}, "updated_since: 'yesterday' is refused; allowed: YYYY-MM-DD"),
        ({"updated_since": None}, "updated_since: None is refused"),
        (
            {"updated_since": None, "open_during_min": "2024-01-01T00:00:00"},
            "open_during_min: .* go together",
        ),
        (
            {"open_during_min": "2024-01-01T00:00:00", "open_during_max": "2024-02-01T00:00:01"},
            "open_during_max: .* at most 31 days",
        ),
        (
            {"open_during_min": "2024-01-02T00:00:00", "open_during_max": "2024-01-01T00:00:00"},
            "open_during_max: .* from open_during_min",
        ),
    ],
)
def test_filters_of_a_partners_alerts_that_the_api_refuses_are_refused_before(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LocusEndpoints.get_partner_alerts.request(
            **{**ALERTS, "updated_since": "2024-01-01T00:00:00", **changes}
        )


def test_a_partners_alerts_take_31_days_of_open_during_and_a_sites_any_number() -> None:
    month = {"open_during_min": "2024-01-01T00:00:00", "open_during_max": "2024-02-01T00:00:00"}
    assert len(LocusEndpoints.get_partner_alerts.request(**ALERTS, **month).params) == 3
    years = {**month, "open_during_min": "2014-01-01T00:00:00"}
    assert len(LocusEndpoints.get_site_alerts.request(site_id=1, tz="UTC", **years).params) == 3


@pytest.mark.parametrize(
    ("gran", "longest"),
    [("1min", 5), ("5min", 31), ("15min", 31), ("hourly", 31), ("daily", 365)],
)
def test_a_period_must_be_shorter_than_its_granularitys_limit(gran: str, longest: int) -> None:
    end = datetime(2023, 3, 1) + timedelta(days=longest)
    inside = data(gran=gran, start=datetime(2023, 3, 1), end=end - timedelta(seconds=1))
    assert inside.arguments["gran"] == gran
    with pytest.raises(
        ValueError, match=f"end: .* allowed with gran={gran}: less than {longest} days after start"
    ):
        data(gran=gran, start=datetime(2023, 3, 1), end=end)


@pytest.mark.parametrize("gran", ["monthly", "yearly"])
def test_months_and_years_have_no_limit(gran: str) -> None:
    assert data(gran=gran, start="2000-01-01T00:00:00", end="2050-01-01T00:00:00").arguments["gran"] == gran


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gran": "weekly"}, "gran: 'weekly' is refused; allowed: one of 1min, 5min, "),
        ({"gran": "latest"}, "gran: 'latest' is refused"),
        ({"site_id": 0}, "site_id: 0 is refused; allowed: a whole number above 0"),
        ({"site_id": True}, "site_id: True is refused"),
        ({"site_id": "1/2"}, "site_id: '1/2' is refused"),
        ({"site_id": 1.5}, r"site_id: 1\.5 is refused"),
        ({"site_id": None}, "site_id: None is refused, get_site_data requires it"),
        ({"fields": []}, r"fields: \[\] is refused"),
        ({"fields": ["a,b"]}, r"fields: \['a,b'\] is refused"),
        ({"fields": 5}, "fields: 5 is refused"),
        ({"tz": " "}, "tz: ' ' is refused"),
        ({"start": "2024-01-01"}, "start: '2024-01-01' is refused"),
        ({"start": "2024-13-01T00:00:00"}, "start: '2024-13-01T00:00:00' is refused"),
        ({"start": "2024-01-01T00:00:00Z"}, "start: .* is refused"),
        ({"start": date(2024, 1, 1)}, "start: .* is refused"),
        ({"start": datetime(2024, 1, 1, tzinfo=UTC)}, "start: .* is refused"),
        ({"start": datetime(2024, 1, 1, 0, 0, 0, 1)}, "start: .* is refused"),
        ({"start": None}, "start: None is refused; gran=hourly requires start and end"),
        ({"end": "2023-12-31T00:00:00"}, r"end: .* allowed: from start \(2024-01-01T00:00:00\) on"),
        ({"client": 4}, "client: 4 is refused; get_site_data takes site_id, fields, "),
        (
            {"field_parameters": {"tz": "UTC"}},
            "field_parameters: 'tz' is refused; it is an argument of its own",
        ),
        ({"field_parameters": {"a": 1}}, "field_parameters: {'a': 1} is refused"),
        ({"field_parameters": 5}, "field_parameters: 5 is refused"),
    ],
)
def test_an_argument_that_is_not_allowed_is_refused_with_name_value_and_what_is(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data(**changes)


def test_latest_is_for_components_and_takes_no_period() -> None:
    latest = {"component_id": 1, "fields": ["W_avg"], "tz": "UTC", "gran": "latest"}
    call = LocusEndpoints.get_component_data.request(**latest)
    assert call.target == "/v3/components/1/data?fields=W_avg&tz=UTC&gran=latest"
    with pytest.raises(ValueError, match=r"end: .* is refused; gran=latest takes neither start nor end"):
        LocusEndpoints.get_component_data.request(**latest, end="2024-01-01T00:00:00")


@pytest.mark.parametrize(
    ("start", "last"),
    [("2023-01-01", "2024-01-01"), ("2023-12-15", "2024-12-15"), ("2024-02-29", "2025-02-28")],
)
def test_bulk_data_takes_12_months(start: str, last: str) -> None:
    bulk = {
        "partner_id": 1,
        "fields": ["Wh_sum"],
        "tz": "UTC",
        "gran": "monthly",
        "start": f"{start}T00:00:00",
    }
    assert (
        LocusEndpoints.get_site_bulk_data.request(**bulk, end=f"{last}T00:00:00").arguments["gran"]
        == "monthly"
    )
    with pytest.raises(ValueError, match=r"end: .* at most 12 months after start"):
        LocusEndpoints.get_site_bulk_data.request(**bulk, end=f"{last}T00:00:01")
    with pytest.raises(ValueError, match="gran: 'daily' is refused; allowed: one of monthly"):
        LocusEndpoints.get_site_bulk_data.request(**{**bulk, "gran": "daily"}, end=f"{last}T00:00:00")


def test_fields_are_asked_once_each_and_may_come_as_one_text() -> None:
    assert dict(data(fields="W_avg, Wh_sum,W_avg").params)["fields"] == "W_avg,Wh_sum"


def test_no_field_parameters_are_the_same_as_empty_ones() -> None:
    assert data(field_parameters={}) == data(field_parameters=None) == data()


def test_calls_can_be_kept_in_sets_and_files() -> None:
    call = data(field_parameters={"modelType": "simple"}, fields=["b", "a"])
    assert len({call, data(field_parameters={"modelType": "simple"}, fields=("b", "a")), data()}) == 2
    assert Call.from_json(LocusEndpoints, json.loads(json.dumps(call.to_json()))) == call
    assert pickle.loads(pickle.dumps(call)) == call  # noqa: S301


def test_a_file_can_name_endpoints_only() -> None:
    with pytest.raises(TypeError, match=r"LocusEndpoints\.__doc__ is no endpoint"):
        Call.from_json(LocusEndpoints, {"endpoint": "__doc__", "arguments": {}})


def test_a_text_of_digits_is_a_number() -> None:
    assert LocusEndpoints.get_site.request(site_id="12").path == "/v3/sites/12"


@pytest.mark.parametrize(
    ("site", "segment"),
    [
        ("white house", "white%20house"),
        ("a/b?c#d%", "a%2Fb%3Fc%23d%25"),
        ("Straße 8", "Stra%C3%9Fe%208"),
        ("..", "%2E%2E"),
        ("v1.2", "v1.2"),
    ],
)
def test_an_id_that_is_a_name_is_one_segment_of_the_path(
    asker: Any, api: Any, site: str, segment: str
) -> None:
    from locus_stem.api import StemCredentials

    asker.use(StemCredentials(api_key="key")).ask(StemEndpoints.get_site.request(site_id=site))
    assert api.sent[0].url.raw_path == f"/api/v1/sites/{segment}".encode()


@given(st.text(min_size=1).filter(str.strip))
def test_any_name_stays_within_its_segment(site: str) -> None:
    try:
        site.encode()
    except UnicodeEncodeError:
        return
    path = StemEndpoints.get_site_streams.request(
        site_id=site, start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00Z"
    ).path
    assert path.isascii()
    assert path.count("/") == 5
    assert "/../" not in path
    assert "/./" not in path


def test_streams_take_times_with_a_zone_and_write_them_in_utc() -> None:
    call = StemEndpoints.get_site_streams.request(
        site_id="a",
        start=datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        end="2024-01-01T00:00:00Z",
        resolution=3600,
        stream_type=["monitor", "CONVERTER"],
    )
    assert call.params == [
        ("start_datetime", "2023-12-31T23:00:00Z"),
        ("end_datetime", "2024-01-01T00:00:00Z"),
        ("resolution", "3600"),
        ("stream_type", "MONITOR,CONVERTER"),
    ]
    assert call.arguments["resolution"] == 3600


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "2024-01-01T00:00:00"}, "start: .* allowed: YYYY-MM-DDThh:mm:ssZ"),
        ({"start": datetime(2024, 1, 1)}, "start: .* is refused"),
        ({"start": 5}, "start: 5 is refused"),
        ({"resolution": 60}, "resolution: 60 is refused; allowed: one of 900, 1800, 3600"),
        ({"stream_type": "SOLAR"}, "stream_type: 'SOLAR' is refused"),
        ({"end": "2024-01-01T00:14:59Z"}, r"end: .* allowed: from 900 s \(the resolution\) to 365 days"),
        ({"end": "2024-01-01T00:59:59Z", "resolution": 3600}, "end: .* from 3600 s"),
        ({"end": "2024-12-31T00:00:01Z"}, "end: .* 365 days"),
        ({"site_id": ""}, "site_id: '' is refused"),
        ({"site_id": 5}, "site_id: 5 is refused; allowed: text"),
    ],
)
def test_streams_that_the_api_refuses_are_refused_before(changes: dict[str, Any], message: str) -> None:
    request = {"site_id": "a", "start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z", **changes}
    with pytest.raises(ValueError, match=message):
        StemEndpoints.get_site_streams.request(**request)
