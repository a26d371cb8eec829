"""Answers have the keys of the reference's examples, and the options change how they are written."""

from __future__ import annotations

import gzip
import json
from email.utils import parsedate_to_datetime

import pytest

COMPONENT = {
    "id", "siteId", "clientId", "parentId", "parentType", "nodeId", "name", "nodeType", "application",
    "generationType", "oem", "model", "isConceptualNode",
}  # fmt: skip
SITE = {
    "id", "clientId", "name", "address1", "locale3", "locale1", "localeCode1", "postalCode", "countryCode",
}  # fmt: skip
SITE_OPTIONAL = {"address2", "latitude", "longitude", "locationTimezone"}
SETTINGS = {
    "mismatch", "diodesAndConnections", "dcWiring", "soiling", "sunTracking", "nameplate", "acWiring",
    "transformer",
}  # fmt: skip
ALERT = {
    "id",
    "componentId",
    "componentName",
    "siteId",
    "siteName",
    "alertType",
    "priority",
    "start",
    "updated",
}
BASE_FIELD = {"baseField", "longName", "source", "unit", "granularities"}
JANUARY = {"start": "2025-01-01T00:00:00", "end": "2025-02-01T00:00:00", "tz": "US/Pacific"}


def test_components_have_the_keys_of_the_reference(plant):
    for one in plant.get("/v3/partners/1/components").json()["components"]:
        assert COMPONENT <= set(one) <= COMPONENT | {"serialNumber", "description"}
        single = plant.get(f"/v3/components/{one['id']}").json()
        assert single == {"statusCode": 200, **one}


def test_sites_have_the_keys_of_the_reference_and_a_status_each(plant):
    for one in plant.get("/v3/partners/1/sites").json()["sites"]:
        assert SITE | {"statusCode"} <= set(one) <= SITE | SITE_OPTIONAL | {"statusCode"}
        assert plant.get(f"/v3/sites/{one['id']}").json() == one


def test_clients_have_the_keys_of_the_reference(plant):
    for one in plant.get("/v3/partners/1/clients").json()["clients"]:
        assert set(one) | {"tz"} == {"id", "partnerId", "tz", "firstName", "lastName", "email"}


def test_install_info_and_model_settings_have_the_keys_of_the_reference(plant):
    dates = {
        "installer",
        "installCrew",
        "installDate",
        "ptoDate",
        "startupDate",
        "uninstallCrew",
        "uninstallDate",
    }
    for site_id in plant.fleet.site_ids:
        assert set(plant.get(f"/v3/sites/{site_id}/installinfo").json()) <= dates | {"statusCode"}
        settings = set(plant.get(f"/v3/sites/{site_id}/modelsettings").json())
        assert SETTINGS | {"statusCode"} <= settings <= SETTINGS | {"statusCode", "size", "tmy3Id"}


def test_base_fields_have_the_keys_of_the_reference(plant):
    for path in ("sites/3000001", "components/6000001", "partners/1/sites"):
        for one in plant.get(f"/v3/{path}/dataavailable").json()["baseFields"]:
            assert BASE_FIELD <= set(one) <= BASE_FIELD | {"aggregations", "fieldParameters"}
            for aggregation in one.get("aggregations", ()):
                assert aggregation["shortName"] == f"{one['baseField']}_{aggregation['aggregation']}"


def test_the_example_meter_offers_the_fields_of_the_reference(plant):
    names = [
        one["baseField"]
        for one in plant.get(f"/v3/components/{plant.meter}/dataavailable").json()["baseFields"]
    ]
    assert names == [
        "A", "Hz", "PF", "PI_m", "PPV", "PhV", "VA", "VAR", "W", "W_m", "Wh", "Wh_m", "WphA", "WphB", "WphC",
    ]  # fmt: skip
    bulk = [one["baseField"] for one in plant.get("/v3/partners/1/sites/dataavailable").json()["baseFields"]]
    assert bulk == ["Wh", "Whp", "Wh_e", "GHIh_m", "GHIhp_m", "GHIh_t", "EER", "GEER"]


def test_the_example_site_offers_the_fields_and_granularities_of_the_reference(plant):
    fields = {
        one["baseField"]: one for one in plant.get("/v3/sites/3000001/dataavailable").json()["baseFields"]
    }
    assert list(fields) == ["GHI_m", "GHIh_m", "W", "W_m", "Wh", "Wh_e", "Wh_m"]
    assert fields["W"]["granularities"] == ["5min", "15min", "hourly", "daily", "monthly", "yearly"]
    assert fields["Wh"]["granularities"][0] == "1min"
    assert fields["Wh_e"]["granularities"] == ["daily", "monthly", "yearly"]
    assert [one["param"] for one in fields["W_m"]["fieldParameters"]] == [
        "modelType",
        "irradianceSource",
        "inverterClipping",
    ]


def test_alerts_have_the_keys_of_the_reference(plant):
    alerts = plant.get("/v3/sites/3000001/alerts", tz="UTC").json()["alerts"]
    assert alerts
    for one in alerts:
        assert ALERT <= set(one) <= ALERT | {"end", "descriptionShort", "descriptionLong"}


def test_data_in_a_zone_carry_its_offset_and_in_utc_the_examples_offset(plant):
    row = plant.site_data(gran="monthly", fields="Wh_sum", **JANUARY).json()["data"][0]
    assert row["ts"] == "2025-01-01T00:00:00-08:00"
    row = plant.site_data(gran="monthly", fields="Wh_sum", **JANUARY | {"tz": "UTC"}).json()["data"][0]
    assert row["ts"] == "2025-01-01T00:00:00+00:00"


@pytest.mark.parametrize("suffix", ["Z", "-00:00", "+00:00"])
def test_the_suffix_of_utc_is_an_option(serve, suffix):
    plant = serve(utc_suffix=suffix)
    query = JANUARY | {"tz": "UTC", "end": "2025-01-02T00:00:00"}
    stamps = [row["ts"] for row in plant.site_data(gran="hourly", fields="Wh_sum", **query).json()["data"]]
    alerts = plant.get("/v3/sites/3000001/alerts", tz="UTC").json()["alerts"]
    assert {stamp[19:] for stamp in stamps + [alert["start"] for alert in alerts]} == {suffix}


def test_a_wrong_offset_is_an_option_for_daily_and_up_only(serve):
    plant = serve(offset="wrong")
    daily = plant.site_data(gran="daily", fields="Wh_sum", **JANUARY).json()["data"]
    hourly = plant.site_data(
        gran="hourly", fields="Wh_sum", **JANUARY | {"end": "2025-01-31T00:00:00"}
    ).json()["data"]
    assert {row["ts"][10:] for row in daily} == {"T00:00:00-07:00"}
    assert {row["ts"][19:] for row in hourly} == {"-08:00"}


@pytest.mark.parametrize(("end", "count"), [("exclusive", 1), ("inclusive", 2)])
def test_whether_the_end_belongs_to_data_is_an_option(serve, end, count):
    plant = serve(end=end)
    query = {"start": "2025-01-05T12:00:00", "end": "2025-01-05T13:00:00", "tz": "UTC", "gran": "hourly"}
    assert len(plant.component_data(**query, fields="W_avg").json()["data"]) == count
    query["end"] = "2025-01-05T12:59:59"
    assert len(plant.component_data(**query, fields="W_avg").json()["data"]) == 1


def test_odd_spelling_of_zones_is_an_option_for_some_sites(serve):
    sites = serve(zone_case=True).get("/v3/partners/1/sites").json()["sites"]
    assert {"America/Los_angeles", "America/Los_Angeles"} <= {one.get("locationTimezone") for one in sites}


def test_answers_are_packed_only_for_who_asks(plant):
    path = f"/v3/sites/{plant.fleet.site_ids[0]}/dataavailable"
    with plant.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
        assert response.headers["Content-Encoding"] == "gzip"
    plain = plant.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert json.loads(gzip.decompress(packed)) == plain.json()


def test_the_date_header_is_the_fleets_present(plant):
    text = plant.get("/v3/partners/1/clients").headers["Date"]
    assert parsedate_to_datetime(text) == plant.fleet.now()
