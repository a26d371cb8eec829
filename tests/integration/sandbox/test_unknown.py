"""A fleet that is told to shows keys and values that no reference names, and nothing else changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from locus_stem.sandbox import Fleet

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)
FUTURE = {"futureText", "futureNumber", "futureFlag", "futureObject"}
PLACES = [
    ("/v3/partners/1/clients", "clients"),
    ("/v3/partners/1/sites", "sites"),
    ("/v3/partners/1/components", "components"),
    ("/v3/sites/3000001/dataavailable", "baseFields"),
    ("/v3/partners/1/alerts?tz=UTC&updatedSince=2025-02-25T00:00:00", "alerts"),
]


@pytest.fixture
def newer(serve):
    return serve(Fleet(now=NOW, unknown=True))


@pytest.mark.parametrize(("path", "key"), PLACES)
def test_objects_of_every_kind_have_further_keys(serve, newer, path, key):
    plain, more = serve().get(path).json(), newer.get(path).json()
    assert more.keys() - plain.keys() == {"futureKey"}
    assert len(more[key]) == len(plain[key]) + (key == "baseFields")
    for known, found in zip(plain[key], more[key], strict=False):
        assert found.keys() - known.keys() == FUTURE
        assert found["id" if "id" in known else "baseField"] == known.get("id", known.get("baseField"))


@pytest.mark.parametrize("kind", ["installinfo", "modelsettings"])
def test_details_have_further_keys(newer, kind):
    assert newer.get(f"/v3/sites/3000001/{kind}").json().keys() > FUTURE


def test_values_that_no_list_of_the_reference_has_are_there(newer):
    components = newer.get("/v3/partners/1/components").json()["components"]
    assert "HYBRID_INVERTER" in {one["nodeType"] for one in components}
    listed = newer.get("/v3/sites/3000001/dataavailable").json()["baseFields"]
    assert {"Forecast", "Measured"} <= {item["source"] for item in listed}


def test_rows_of_data_hold_what_nobody_asked_for_beside_the_same_values(serve, newer):
    query = {
        "start": "2025-01-10T00:00:00", "end": "2025-01-11T00:00:00", "tz": "UTC", "gran": "hourly",
        "fields": "W_avg",
    }  # fmt: skip
    plain, more = (plant.site_data(**query).json()["data"] for plant in (serve(), newer))
    assert len(more) == len(plain) > 0
    for known, found in zip(plain, more, strict=True):
        assert known == {name: found[name] for name in known}
        assert found.keys() - known.keys() == {"Unasked_avg", "quality"}


def test_stem_names_a_stream_that_nobody_knows(newer):
    site = newer.fleet.stem.site_ids[0]
    shown = newer.stem(f"sites/{quote(site, safe='')}").json()
    assert "FORECAST" in shown["stream_start_times"]
    assert shown.keys() > FUTURE
    day = {"start_datetime": "2025-01-10T00:00:00Z", "end_datetime": "2025-01-11T00:00:00Z"}
    streams = newer.streams(**day).json()["stream_types"]
    assert [stream["stream_type"] for stream in streams] == ["MONITOR", "FORECAST"]


def test_the_truth_about_objects_is_what_is_shown(newer):
    fleet = newer.fleet
    shown = newer.get("/v3/partners/1/sites").json()["sites"]
    assert [{**fleet.site_object(one["id"]), "statusCode": 200} for one in shown] == shown
    told = {one["id"]: one for one in fleet.truth_alerts()}
    path = "/v3/partners/1/alerts?tz=UTC&updatedSince=2025-02-25T00:00:00"
    for one in newer.get(path).json()["alerts"]:
        assert one["futureObject"] == told[one["id"]]["futureObject"]
    assert json.dumps(fleet.at(NOW).site_object(3000001)) == json.dumps(fleet.site_object(3000001))
