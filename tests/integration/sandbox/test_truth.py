"""What comes over the socket is what the fleet says that the API holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from locus_stem.sandbox import Fleet

MODELED = {"modelType": "simple", "irradianceSource": "weatherStation", "inverterClipping": "false"}
NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)


def rows(response, fields):
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"statusCode", "data"}
    return [
        {"ts": datetime.fromisoformat(row["ts"]), **{name: row.get(name) for name in fields}}
        for row in body["data"]
    ]


def local(moment, zone):
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


@pytest.mark.parametrize("granularity", ["5min", "15min", "hourly", "daily", "monthly", "yearly"])
@pytest.mark.parametrize("position", [0, 1, 2, 3, 9])
def test_site_data_is_the_truth_at_every_granularity(plant, granularity, position):
    site = plant.fleet.site_ids[position]
    names = plant.fleet.entity("site", site).short_names
    fields = [name for name, (field, _) in names.items() if granularity in field.granularities]
    parameters = MODELED if any(names[name][0].parameters for name in fields) else {}
    zone = (
        ZoneInfo(plant.fleet.zone(site)) if granularity in {"daily", "monthly", "yearly"} else ZoneInfo("UTC")
    )
    start = datetime(2024, 2, 20, tzinfo=zone)
    end = start + timedelta(days={"5min": 3, "15min": 20, "hourly": 30}.get(granularity, 360))
    query = {"start": local(start, zone), "end": local(end, zone), "tz": zone.key, "gran": granularity}
    answered = rows(plant.site_data(site, **query, fields=",".join(fields), **parameters), fields)
    assert answered == plant.fleet.truth_site_data(site, granularity, start, end, fields, MODELED)
    assert answered or granularity == "yearly"


@pytest.mark.parametrize("node_type", ["METER", "INVERTER", "WEATHER_STATION"])
@pytest.mark.parametrize("granularity", ["15min", "hourly", "daily"])
def test_component_data_is_the_truth(plant, node_type, granularity):
    component = next(c for c in plant.fleet.all_components() if c.node_type == node_type)
    entity = plant.fleet.entity("component", component.id)
    fields = [name for name, (field, _) in entity.short_names.items() if not field.parameters]
    zone = ZoneInfo(component.site.zone) if granularity == "daily" else ZoneInfo("UTC")
    start, end = datetime(2025, 1, 10, tzinfo=zone), datetime(2025, 2, 5, tzinfo=zone)
    query = {"start": local(start, zone), "end": local(end, zone), "tz": zone.key, "gran": granularity}
    answered = rows(plant.component_data(component.id, **query, fields=",".join(fields)), fields)
    assert answered == plant.fleet.truth_component_data(component.id, granularity, start, end, fields)


def test_another_process_with_the_same_arguments_knows_the_truth(plant):
    same = Fleet(now=NOW)
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 4, tzinfo=UTC)
    site = same.site_ids[5]
    query = {"start": "2025-01-01T00:00:00", "end": "2025-01-04T00:00:00", "tz": "UTC", "gran": "hourly"}
    answered = rows(plant.site_data(site, **query, fields="Wh_sum"), ["Wh_sum"])
    assert answered == same.truth_site_data(site, "hourly", start, end, ["Wh_sum"])


@pytest.mark.parametrize(
    ("position", "day", "hours"),
    [
        (0, date(2024, 3, 10), 23),
        (0, date(2024, 11, 3), 25),
        (2, date(2024, 3, 31), 23),
        (2, date(2024, 10, 27), 25),
        (3, date(2024, 3, 31), 24),
    ],
)
def test_clock_changes_give_days_of_23_and_25_hours(serve, position, day, hours):
    plant = serve(Fleet(now=NOW, gaps="empty"))
    site = plant.fleet.site(plant.fleet.site_ids[position])
    zone = ZoneInfo(site.zone)
    query = {
        "start": f"{day}T00:00:00",
        "end": f"{day + timedelta(days=1)}T00:00:00",
        "tz": site.zone,
        "fields": "Wh_sum",
    }
    hourly = rows(plant.site_data(site.id, gran="hourly", **query), ["Wh_sum"])
    quarters = rows(plant.site_data(site.id, gran="15min", **query), ["Wh_sum"])
    (whole,) = rows(plant.site_data(site.id, gran="daily", **query), ["Wh_sum"])
    assert len(hourly) == hours
    assert len(quarters) == 4 * hours
    assert len({row["ts"].astimezone(UTC) for row in quarters}) == 4 * hours
    assert whole["ts"] == datetime(day.year, day.month, day.day, tzinfo=zone)
    assert sum(row["Wh_sum"] or 0 for row in hourly) == pytest.approx(whole["Wh_sum"], abs=0.1)
    assert sum(row["Wh_sum"] or 0 for row in quarters) == pytest.approx(whole["Wh_sum"], abs=0.1)


def test_hours_asked_in_kolkata_begin_half_past_in_utc(plant):
    query = {
        "start": "2025-01-01T00:00:00",
        "end": "2025-01-01T05:00:00",
        "tz": "Asia/Kolkata",
        "gran": "hourly",
    }
    site = plant.fleet.site_ids[3]
    answered = rows(plant.site_data(site, **query, fields="Wh_sum"), ["Wh_sum"])
    assert {row["ts"].astimezone(UTC).minute for row in answered} == {30}


def test_nulls_are_left_out_of_single_answers_and_explicit_in_bulk(plant):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    query = {"tz": "UTC", "gran": "15min", "fields": "PF_avg,Hz_avg"}
    sizes = set()
    for month in range(3):
        first = start + timedelta(days=30 * month)
        last = first + timedelta(days=30)
        answer = plant.component_data(start=local(first, UTC), end=local(last, UTC), **query)
        assert "null" not in answer.text
        sizes |= {len(row) for row in answer.json()["data"]}
    assert sizes == {3, 4}
    answer = plant.get(
        "/v3/partners/1/sites/data",
        start="2024-06-01T00:00:00",
        end="2025-01-01T00:00:00",
        tz="UTC",
        gran="monthly",
        fields="Wh_sum,GHIh_t_sum",
    )
    bulk = answer.json()["data"]
    assert {frozenset(row) for row in bulk} == {frozenset({"id", "ts", "Wh_sum", "GHIh_t_sum"})}
    assert any(row["GHIh_t_sum"] is None and row["Wh_sum"] is not None for row in bulk)


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def test_bulk_data_is_the_truth_and_leaves_out_sites_without_components(plant, zone):
    fields = [
        "Wh_sum",
        "Whp_sum",
        "Wh_e_sum",
        "GHIh_m_sum",
        "GHIhp_m_sum",
        "GHIh_t_sum",
        "EER_avg",
        "GEER_avg",
    ]
    answer = plant.get(
        "/v3/partners/1/sites/data",
        start="2022-06-01T00:00:00",
        end="2023-06-01T00:00:00",
        tz=zone,
        gran="monthly",
        fields=",".join(fields),
    ).json()["data"]
    start, end = (datetime(year, 6, 1, tzinfo=ZoneInfo(zone)) for year in (2022, 2023))
    truth = plant.fleet.truth_bulk(start, end, zone, fields)
    assert [row | {"ts": datetime.fromisoformat(row["ts"])} for row in answer] == truth
    bare = {site_id for site_id in plant.fleet.site_ids if not plant.fleet.components(site_id)}
    assert {row["id"] for row in answer} == set(plant.fleet.site_ids) - bare


def test_bulk_energy_is_the_sites_own_energy_and_prorated_from_its_startup(plant):
    fields = ["Wh_sum", "Whp_sum"]
    site = next(s for s in map(plant.fleet.site, plant.fleet.site_ids) if s.inverters and s.started)
    zone = ZoneInfo(site.zone)
    first = site.started.replace(day=1)
    start = datetime(first.year, first.month, 1, tzinfo=zone)
    end = start + timedelta(days=330)
    bulk = [row for row in plant.fleet.truth_bulk(start, end, site.zone, fields) if row["id"] == site.id]
    own = plant.fleet.truth_site_data(site.id, "monthly", start, end, ["Wh_sum"])
    assert [row["Wh_sum"] for row in bulk] == [row["Wh_sum"] for row in own]
    since = plant.fleet.truth_site_data(
        site.id, "daily", datetime.combine(site.started, datetime.min.time(), zone), own[1]["ts"], ["Wh_sum"]
    )
    assert bulk[0]["Whp_sum"] == pytest.approx(sum(row["Wh_sum"] or 0 for row in since), abs=0.1)
    assert [row["Whp_sum"] for row in bulk[1:]] == [row["Wh_sum"] for row in bulk[1:]]


def test_objects_are_the_truth(plant):
    fleet = plant.fleet
    assert plant.get("/v3/partners/1/clients").json()["clients"] == list(
        map(fleet.client_object, fleet.client_ids)
    )
    sites = plant.get("/v3/partners/1/sites").json()["sites"]
    assert sites == [{"statusCode": 200, **fleet.site_object(site_id)} for site_id in fleet.site_ids]
    components = plant.get("/v3/partners/1/components").json()["components"]
    assert components == [fleet.component_object(c.id) for c in fleet.all_components()]
    by_client = [
        one
        for client in fleet.client_ids
        for one in plant.get(f"/v3/clients/{client}/components").json()["components"]
    ]
    assert sorted(one["id"] for one in by_client) == sorted(one["id"] for one in components)


def test_alerts_are_the_truth_in_the_zone_that_was_asked_for(plant):
    def read(alert):
        return {
            name: datetime.fromisoformat(value) if name in {"start", "end", "updated"} else value
            for name, value in alert.items()
        }

    truth = plant.fleet.truth_alerts()
    since = NOW - timedelta(days=6)
    recent = plant.get("/v3/partners/1/alerts", tz="UTC", updatedSince=local(since, UTC)).json()["alerts"]
    assert all(alert["updated"].endswith("-00:00") for alert in recent)
    assert list(map(read, recent)) == [alert for alert in truth if alert["updated"] >= since]
    site = plant.fleet.site_ids[0]
    zone = ZoneInfo("US/Pacific")
    first, last = datetime(2024, 5, 1, tzinfo=zone), datetime(2024, 5, 20, tzinfo=zone)
    opened = plant.get(
        f"/v3/sites/{site}/alerts",
        tz=zone.key,
        openDuringMin=local(first, zone),
        openDuringMax=local(last, zone),
    ).json()["alerts"]
    assert all(alert["start"][-6:] in {"-07:00", "-08:00"} for alert in opened)
    assert list(map(read, opened)) == [
        alert
        for alert in truth
        if alert["siteId"] == site and alert["start"] < last and alert.get("end", NOW) >= first
    ]
    high = plant.get(f"/v3/sites/{site}/alerts", tz="UTC", priority="high", status="closed").json()["alerts"]
    assert list(map(read, high)) == [
        alert for alert in truth if alert["siteId"] == site and alert["priority"] == "High" and "end" in alert
    ]


def test_latest_is_one_minute_that_is_over(plant):
    answer = plant.component_data(gran="latest", tz="UTC", fields="W_avg,Wh_sum").json()["data"]
    minute = datetime.fromisoformat(answer[0]["ts"])
    assert len(answer) == 1
    assert minute < NOW
    end = minute + timedelta(minutes=1)
    (truth,) = plant.fleet.truth_component_data(plant.meter, "1min", minute, end, ["W_avg", "Wh_sum"])
    assert {name: answer[0][name] for name in ("W_avg", "Wh_sum")} == {
        name: truth[name] for name in ("W_avg", "Wh_sum")
    }


def test_the_lifetime_example_gives_years_without_data_as_bare_rows(serve):
    plant = serve(Fleet(now=NOW, gaps="empty"))
    query = {"start": "2000-01-01T00:00:00", "end": "2030-01-01T00:00:00", "tz": "UTC", "gran": "yearly"}
    answer = plant.component_data(**query, fields="Wh_sum").json()["data"]
    assert len(answer) == 30
    assert set(answer[0]) == set(answer[-1]) == {"id", "ts"}
    assert "Wh_sum" in answer[24]


def test_revisions_over_the_control_path_change_answers_and_truth_together(serve):
    plant = serve()
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    site = plant.fleet.site_ids[1]
    query = {
        "start": local(start, UTC),
        "end": local(end, UTC),
        "tz": "UTC",
        "gran": "hourly",
        "fields": "Wh_sum",
    }
    before = rows(plant.site_data(site, **query), ["Wh_sum"])
    wanted = {
        "entity_type": "site",
        "entity_id": site,
        "start": "2025-01-01T15:00:00+00:00",
        "end": "2025-01-01T16:00:00+00:00",
    }
    assert plant.client.post("/_sandbox/revise", json=wanted | {"factor": 2}).status_code == 200
    after = rows(plant.site_data(site, **query), ["Wh_sum"])
    assert [row["ts"].hour for row, old in zip(after, before, strict=True) if row != old] == [15]
    assert after == plant.fleet.truth_site_data(site, "hourly", start, end, ["Wh_sum"])
    plant.server.revise("site", site, start, end, withdraw=True)
    assert plant.site_data(site, **query).json()["data"] == []
    assert plant.client.post("/_sandbox/revise", json=wanted | {"entity_id": 5}).status_code == 400
    assert plant.client.post("/_sandbox/revise", json={"entity_type": "site"}).status_code == 400


@pytest.mark.parametrize(("boundary", "shown"), [("inclusive", True), ("exclusive", False)])
def test_an_alert_updated_exactly_then_is_answered_or_not(serve, boundary, shown):
    fleet = Fleet(now=NOW)
    newest = max(
        (one for one in fleet.truth_alerts() if not one["updated"].microsecond),
        key=lambda one: one["updated"],
    )
    plant = serve(fleet, updated_since=boundary)
    since = local(newest["updated"], UTC)
    answered = plant.get("/v3/partners/1/alerts", tz="UTC", updatedSince=since).json()["alerts"]
    assert (newest["id"] in {one["id"] for one in answered}) is shown
