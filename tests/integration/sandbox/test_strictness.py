"""Everything that the Locus reference refuses is refused, in its shape."""

from __future__ import annotations

import pytest

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.api.errors import NotFoundError
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server

DAY = {
    "start": "2025-01-01T00:00:00",
    "end": "2025-01-01T06:00:00",
    "tz": "UTC",
    "gran": "hourly",
    "fields": "Wh_sum",
}
MODELED = {"modelType": "simple", "irradianceSource": "weatherStation", "inverterClipping": "true"}


def message(response, status=400):
    assert response.status_code == status
    body = response.json()
    assert set(body) == {"message", "statusCode"}
    assert body["statusCode"] == status
    return body["message"]


@pytest.mark.parametrize("name", ["start", "end", "tz", "gran", "fields"])
def test_a_missing_parameter_of_data_is_refused(plant, name):
    query = {key: value for key, value in DAY.items() if key != name}
    assert message(plant.site_data(**query))
    assert message(plant.component_data(**query))


@pytest.mark.parametrize(
    "change",
    [
        {"tz": "America/Los_angeles"},
        {"tz": "Mars/Olympus"},
        {"gran": "2min"},
        {"gran": "latest"},
        {"start": "2025-01-01"},
        {"end": "2025-01-01T06:00:00Z"},
        {"start": "2025-01-01T07:00:00"},
        {"fields": "W_min"},
        {"fields": "POAI_avg"},
        {"fields": "Wh_sum,Wh_sum"},
        {"fields": "Wh_sum,"},
        {"fields": "Wh_e_sum"},
        {"fields": "GHI_m_avg", "gran": "15min"},
        {"modelType": "simple"},
        {"page": "1"},
    ],
    ids=str,
)
def test_a_bad_parameter_of_data_is_refused_and_named(plant, change):
    assert message(plant.site_data(**DAY | change))


def test_a_parameter_given_twice_is_refused(plant):
    response = plant.client.get(f"/v3/sites/{plant.fleet.site_ids[0]}/alerts?tz=UTC&tz=UTC")
    assert "twice" in message(response)


def test_a_field_of_the_site_that_1min_lacks_is_refused_at_1min_only(plant):
    assert plant.site_data(**DAY | {"gran": "1min"}).status_code == 200
    assert "W_avg" in message(plant.site_data(**DAY | {"gran": "1min", "fields": "W_avg"}))
    assert plant.component_data(**DAY | {"gran": "1min", "fields": "W_avg"}).status_code == 200


def test_modeled_fields_need_exactly_their_parameters(plant, serve):
    query = DAY | {"fields": "W_m_avg"}
    assert plant.site_data(**query | MODELED).status_code == 200
    for name in MODELED:
        left = {key: value for key, value in MODELED.items() if key != name}
        assert name in message(plant.site_data(**query | left))
        assert name in message(plant.site_data(**query | MODELED | {name: "no"}))
    assert serve(field_parameters="ignored").site_data(**query).status_code == 200


def test_a_field_without_short_names_cannot_be_asked_for(plant):
    assert "PI_m_avg" in message(plant.component_data(**DAY | {"fields": "PI_m_avg"}))


def test_conceptual_components_have_no_data(plant):
    conceptual = next(c for c in plant.fleet.all_components() if c.node_type == "TRANSFORMER")
    assert plant.get(f"/v3/components/{conceptual.id}/dataavailable").json()["baseFields"] == []
    assert message(plant.component_data(conceptual.id, **DAY))


@pytest.mark.parametrize(
    "path",
    [
        "sites/1",
        "components/6000016",
        "clients/7",
        "partners/3/sites",
        "sites/abc",
        "sites",
        "sites/3000001/rows",
    ],
)
def test_what_is_not_there_is_404(plant, path):
    assert message(plant.get(f"/v3/{path}"), 404) == "Not Found"


@pytest.mark.parametrize(
    "path", ["sites/9000001/data", "components/9900001", "clients/900001/sites", "partners/2/sites"]
)
def test_what_belongs_to_another_partner_is_403(plant, path):
    assert message(plant.get(f"/v3/{path}"), 403) == "Forbidden"


def test_any_partner_may_be_the_fleets_own():
    with Server(Fleet(sites=1, partner_id=2), Options()) as server:
        credentials = LocusCredentials(
            host=server.url, grant_type="bearer", password="sandbox-token", partner_id=2, label="c"
        )
        with LocusClient(credentials) as client:
            assert len(client.get_partner_sites(2)) == 1
            with pytest.raises(NotFoundError):
                client.get_partner_sites(1)


@pytest.mark.parametrize(
    "path",
    [
        "components/6000001",
        "sites/3000001",
        "sites/3000001/components",
        "sites/3000001/installinfo",
        "sites/3000001/modelsettings",
        "sites/3000001/dataavailable",
        "components/6000001/dataavailable",
        "clients/400001",
        "clients/400001/sites",
        "clients/400001/components",
        "partners/1/sites",
        "partners/1/clients",
        "partners/1/sites/dataavailable",
        "partners/1/components",
    ],
)
def test_objects_take_no_unknown_parameter(plant, path):
    assert plant.get(f"/v3/{path}").status_code == 200
    assert "expand" in message(plant.get(f"/v3/{path}", expand="all"))


def test_other_methods_than_get_are_refused(plant):
    assert message(plant.client.post("/v3/partners/1/sites"), 405)
    assert message(plant.client.get("/oauth/token"), 405)


@pytest.mark.parametrize(
    "authorization", [None, "Bearer nope", "Bearer", "Basic sandbox-token", "APIKEY sandbox-key"]
)
def test_who_has_no_valid_token_is_401(plant, authorization):
    headers = {"Authorization": authorization or ""}
    assert message(plant.client.get("/v3/partners/1/sites", headers=headers), 401) == "Unauthorized"


def test_percent_is_a_wildcard_in_node_ids_and_notes(plant):
    whole = plant.get("/v3/partners/1/components").json()["components"]
    meters = [one for one in whole if one["nodeId"].endswith(".0")]
    assert plant.get("/v3/partners/1/components", nodeId="SB.%.0").json()["components"] == meters
    assert plant.get("/v3/partners/1/components", nodeId=meters[2]["nodeId"]).json()["components"] == [
        meters[2]
    ]
    assert plant.get("/v3/partners/1/components", notes="%revenue grade%").json()["components"] == meters
    assert plant.get("/v3/partners/1/components", nodeId="SB").json()["components"] == []


def test_faults_on_one_entity_or_field_hit_nothing_else(serve):
    first, second, third, fourth = plant_ids = [3_000_001, 3_000_002, 3_000_003, 3_000_004]
    plant = serve(faults=[f"forbidden={first}", f"gone={second}", f"bad-request={third}", "bad-field=W_max"])
    statuses = [plant.site_data(number, **DAY).status_code for number in plant_ids]
    assert statuses == [403, 404, 400, 200]
    assert plant.get(f"/v3/sites/{third}/dataavailable").status_code == 200
    assert "W_max" in message(plant.site_data(fourth, **DAY | {"fields": "W_avg,W_max"}))
    assert plant.site_data(fourth, **DAY | {"fields": "W_avg"}).status_code == 200
