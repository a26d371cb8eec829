"""Stem's five resources as its guide describes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from locus_stem.sandbox import Fleet

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)


def text(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def message(response, status=400):
    assert response.status_code == status
    (error,) = response.json()["errors"]
    assert set(error) == {"message", "code"}
    assert error["code"] == status
    return error["message"]


def ends(response):
    assert response.status_code == 200, response.text
    return [
        datetime.fromisoformat(row["end_datetime"])
        for stream in response.json()["stream_types"]
        for row in stream["streams"]
    ]


def test_clients_and_sites_have_the_keys_of_the_guide(plant):
    clients = plant.stem("clients").json()
    assert set(clients) == {"clients", "total", "page"}
    for one in clients["clients"]:
        assert set(one) == {"id", "name", "link"}
        assert plant.client.get(one["link"], headers={"Authorization": "APIKEY sandbox-key"}).json() == one
        sites = plant.stem(f"clients/{quote(one['id'], safe='')}/sites").json()
        assert set(sites) == {"sites", "total", "page"}
        for site in sites["sites"]:
            assert set(site) == {"id", "name", "link", "stream_start_times"}
            assert (
                plant.client.get(site["link"], headers={"Authorization": "APIKEY sandbox-key"}).json() == site
            )


def test_streams_have_the_keys_of_the_guide(plant):
    body = plant.streams(
        start_datetime="2024-12-31T00:00:01Z",
        end_datetime="2025-01-01T00:00:01Z",
        stream_type="MONITOR,CONVERTER",
    ).json()
    assert set(body) == {"id", "name", "stream_types"}
    assert [one["stream_type"] for one in body["stream_types"]] == ["MONITOR", "CONVERTER"]
    row = body["stream_types"][0]["streams"][0]
    assert row.keys() == {"start_datetime", "end_datetime", "kw_total_avg"}
    assert row["start_datetime"].endswith("01+00:00")
    length = datetime.fromisoformat(row["end_datetime"]) - datetime.fromisoformat(row["start_datetime"])
    assert length == timedelta(seconds=899)


def test_pages_hold_everything_once_and_end_with_a_400(serve):
    plant = serve(Fleet(now=NOW, stem_sites=250))
    client = quote(plant.fleet.stem.client_ids[1], safe="")
    pages = [plant.stem(f"clients/{client}/sites", page=page, per_page=50).json() for page in (1, 2, 3)]
    found = [one["id"] for page in pages for one in page["sites"]]
    assert found == plant.fleet.stem.client_site_ids(plant.fleet.stem.client_ids[1])
    assert [len(page["sites"]) for page in pages] == [50, 50, 25]
    assert [page["page"] for page in pages] == [1, 2, 3]
    assert message(plant.stem(f"clients/{client}/sites", page=4, per_page=50)) == "No results found"
    assert len(plant.stem(f"clients/{client}/sites").json()["sites"]) == 100


def test_a_name_limits_the_list(plant):
    (one,) = plant.stem("clients", name="client 2").json()["clients"]
    assert one["id"] == plant.fleet.stem.client_ids[1]
    assert message(plant.stem("clients", name="nobody")) == "No results found"


def test_the_page_can_be_text(serve):
    assert serve(stem_page_as_text=True).stem("clients").json()["page"] == "1"


@pytest.mark.parametrize("query", [{"page": "0"}, {"page": "x"}, {"per_page": "-1"}, {"limit": "3"}])
def test_bad_paging_is_refused(plant, query):
    assert message(plant.stem("clients", **query))


@pytest.mark.parametrize("key", [None, "sandbox-key", "APIKEY nope", "Bearer sandbox-token"])
def test_who_has_no_valid_key_is_401(plant, key):
    assert message(plant.client.get("/api/v1/clients", headers={"Authorization": key or ""}), 401)


def test_unknown_names_are_404_and_those_of_others_403(plant):
    assert message(plant.stem("sites/nowhere_1"), 404)
    assert message(plant.stem("clients/sandbox_client_99/sites"), 404)
    assert message(plant.stem("sites/foreign_site/streams"), 403)
    assert message(plant.stem("clients/foreign_client"), 403)
    assert message(plant.client.post("/api/v1/clients", headers={"Authorization": "APIKEY sandbox-key"}), 405)


DAY = {"start_datetime": "2024-06-01T00:00:00Z", "end_datetime": "2024-06-02T00:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        {"start_datetime": "2024-06-01T00:00:00"},
        {"start_datetime": "2024-06-01T00:00:00+00:00"},
        {"end_datetime": ""},
        {"resolution": "60"},
        {"resolution": "x"},
        {"stream_type": "SOLAR"},
        {"stream_type": "MONITOR,MONITOR"},
        {"tz": "UTC"},
    ],
    ids=str,
)
def test_bad_stream_parameters_are_refused(plant, change):
    assert plant.streams(**DAY).status_code == 200
    assert message(plant.streams(**DAY | change))


def test_a_stream_that_the_site_lacks_is_told_as_in_the_guide(plant):
    assert message(plant.streams(1, **DAY, stream_type="MONITOR,INTERVAL_REVENUE")) == (
        "The requested stream type - INTERVAL_REVENUE is unavailable for the requested site."
    )


def test_a_time_without_any_data_is_told_as_no_data(plant):
    before = {"start_datetime": "2019-06-01T00:00:00Z", "end_datetime": "2019-06-02T00:00:00Z"}
    assert message(plant.streams(**before)) == "No data found for the requested time range"


@pytest.mark.parametrize("resolution", [900, 1800, 3600])
def test_a_range_is_at_least_a_resolution_and_at_most_a_year(plant, resolution):
    start = datetime(2024, 1, 15, tzinfo=UTC)

    def status(length):
        return plant.streams(
            start_datetime=text(start), end_datetime=text(start + length), resolution=resolution
        ).status_code

    assert status(timedelta(seconds=resolution - 1)) == 400
    assert status(timedelta(seconds=resolution)) == 200
    assert status(timedelta(days=365)) == 200
    assert status(timedelta(days=365, seconds=1)) == 400


@pytest.mark.parametrize(
    ("shift", "first", "last"),
    [
        ("literal", "2024-06-01T06:00:00+00:00", "2024-06-01T11:45:00+00:00"),
        ("example", "2024-06-01T06:00:00+00:00", "2024-06-01T12:00:00+00:00"),
        ("none", "2024-06-01T06:15:00+00:00", "2024-06-01T12:00:00+00:00"),
    ],
)
def test_how_start_and_end_are_shifted_is_an_option(serve, shift, first, last):
    plant = serve(stem_shift=shift)
    found = ends(plant.streams(start_datetime="2024-06-01T06:00:01Z", end_datetime="2024-06-01T12:00:01Z"))
    assert (found[0].isoformat(), found[-1].isoformat()) == (first, last)


def test_times_are_rounded_to_the_nearest_interval(serve):
    plant = serve(stem_shift="example")
    early = ends(plant.streams(start_datetime="2024-06-01T06:07:29Z", end_datetime="2024-06-01T09:00:00Z"))
    late = ends(plant.streams(start_datetime="2024-06-01T06:07:30Z", end_datetime="2024-06-01T09:00:00Z"))
    assert [moment.minute for moment in (early[0], late[0])] == [0, 15]


@pytest.mark.parametrize("resolution", [900, 1800, 3600])
@pytest.mark.parametrize("shift", ["literal", "example", "none"])
def test_two_resolutions_more_on_each_side_hold_the_whole_truth(serve, resolution, shift):
    plant = serve(stem_shift=shift)
    start, end = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
    margin = timedelta(seconds=2 * resolution)
    for stream_type in ("MONITOR", "CONVERTER", "INTERVAL_REVENUE"):
        body = plant.streams(
            start_datetime=text(start - margin),
            end_datetime=text(end + margin),
            resolution=resolution,
            stream_type=stream_type,
        ).json()
        kept = [
            {
                name: datetime.fromisoformat(value) if name.endswith("datetime") else value
                for name, value in row.items()
            }
            for row in body["stream_types"][0]["streams"]
        ]
        truth = plant.fleet.truth_stem_streams(
            plant.fleet.stem.site_ids[0], stream_type, resolution, start, end
        )
        assert [row for row in kept if start < row["end_datetime"] <= end] == truth


def test_no_row_ends_in_the_future(plant):
    found = ends(plant.streams(start_datetime="2025-03-01T00:00:00Z", end_datetime="2025-03-03T00:00:00Z"))
    assert max(found) == datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def test_faults_on_one_name_hit_nothing_else(serve):
    first, second, third = Fleet(now=NOW).stem.site_ids[:3]
    plant = serve(faults=[f"forbidden={first}", f"gone={second}", f"bad-request={third}"])
    assert [plant.streams(number, **DAY).status_code for number in range(4)] == [403, 404, 400, 200]


@pytest.mark.parametrize("pages", ["apart", "overlapping", "endless"])
def test_pages_that_overlap_or_never_end_hold_every_site(serve, pages):
    plant = serve(Fleet(now=NOW, stem_sites=24), stem_pages=pages, stem_total="page")
    client = plant.fleet.stem.client_ids[0]
    held = []
    for page in range(1, 4):
        answer = plant.stem(f"clients/{quote(client, safe='')}/sites", page=page, per_page=6)
        if answer.status_code == 400:
            break
        held.append([site["id"] for site in answer.json()["sites"]])
        assert answer.json()["total"] == len(held[-1])
    sites = plant.fleet.stem.client_site_ids(client)
    assert (
        held
        == {
            "apart": [sites[:6], sites[6:]],
            "overlapping": [sites[:6], sites[5:11], sites[10:]],
            "endless": [sites[:6], sites[6:], sites[6:]],
        }[pages]
    )
