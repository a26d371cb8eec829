from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.grid import zone_info

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)
JANUARY = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def fleet():
    return Fleet(now=NOW)


def meter(fleet, site_id):
    return fleet.components(site_id)[0].id


def test_a_fleet_of_10000_sites_is_made_in_no_time():
    begun = time.process_time()
    fleet = Fleet(sites=10_000, now=NOW)
    assert fleet.site_object(fleet.site_ids[-1])["id"] == fleet.site_ids[-1]
    assert time.process_time() - begun < 0.2


def test_the_same_arguments_give_the_same_fleet_and_another_seed_another():
    one, same, other = Fleet(now=NOW), Fleet(now=NOW), Fleet(seed=8, now=NOW)
    asked = ("daily", JANUARY, JANUARY + timedelta(days=20), ["Wh_sum"])
    site = one.site_ids[0]
    assert one.truth_site_data(site, *asked) == same.truth_site_data(site, *asked)
    assert one.truth_site_data(site, *asked) != other.truth_site_data(site, *asked)


def test_the_four_main_zones_and_a_client_zone_and_utc_occur(fleet):
    zones = {fleet.zone(site_id) for site_id in fleet.site_ids}
    assert {"America/Los_Angeles", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC"} <= zones
    assert all(zone_info(zone) for zone in zones)
    nameless = [site for site in map(fleet.site, fleet.site_ids) if site.location_zone is None]
    assert {site.zone for site in nameless} == {"US/Pacific", "US/Eastern", "UTC"}
    assert all("locationTimezone" not in fleet.site_object(site.id) for site in nameless)
    assert sum("tz" not in fleet.client_object(client) for client in fleet.client_ids) == 1


def test_ids_lead_back_to_their_entities(fleet):
    for site_id in fleet.site_ids:
        for component in fleet.components(site_id):
            assert fleet.component(component.id) == component
    with pytest.raises(KeyError):
        fleet.component(meter(fleet, fleet.site_ids[0]) + 15)


def test_inverters_stand_under_the_meter_and_conceptual_components_measure_nothing(fleet):
    objects = {one["id"]: one for one in map(fleet.component_object, (c.id for c in fleet.all_components()))}
    inverters = [one for one in objects.values() if one["nodeType"] == "INVERTER"]
    assert all(objects[one["parentId"]]["nodeType"] == "METER" for one in inverters)
    conceptual = [one["id"] for one in objects.values() if one["isConceptualNode"]]
    assert conceptual
    assert all(fleet.data_available("component", number) == [] for number in conceptual)


def test_some_sites_have_no_components_and_measure_nothing(fleet):
    bare = [site_id for site_id in fleet.site_ids if not fleet.components(site_id)]
    assert len(bare) == 2
    sources = {one["source"] for site_id in bare for one in fleet.data_available("site", site_id)}
    assert sources == {"Modeled"}


def test_some_base_fields_name_neither_aggregations_nor_parameters(fleet):
    fields = {
        one["baseField"]: one for one in fleet.data_available("component", meter(fleet, fleet.site_ids[0]))
    }
    assert "aggregations" not in fields["W_m"]
    assert "fieldParameters" in fields["W_m"]
    assert "fieldParameters" not in fields["W"]


@pytest.mark.parametrize("granularity", ["1min", "5min", "15min", "hourly"])
def test_an_interval_has_one_value_however_it_is_asked_for(fleet, granularity):
    component = meter(fleet, fleet.site_ids[0])
    fields = ["W_avg", "W_max", "W_min", "Wh_sum", "PhV_avg"]
    days = JANUARY + timedelta(days=4)
    whole = fleet.truth_component_data(component, granularity, JANUARY, days, fields)
    chance = random.Random(granularity)
    for _ in range(40):
        start = JANUARY + timedelta(minutes=chance.randrange(5_000))
        end = start + timedelta(minutes=chance.randrange(1, 700))
        asked = fleet.truth_component_data(component, granularity, start, end, fields)
        assert asked == [row for row in whole if start <= row["ts"] < end]


def test_granularities_agree_on_energy_and_extremes(fleet):
    component = meter(fleet, fleet.site_ids[1])
    zone = zone_info(fleet.zone(fleet.site_ids[1]))
    start, end = datetime(2024, 10, 1, tzinfo=zone), datetime(2024, 12, 1, tzinfo=zone)
    fields = ["Wh_sum", "W_max", "W_min"]
    energy, highest, lowest = {}, {}, {}
    for granularity in ("5min", "15min", "hourly", "daily", "monthly"):
        rows = fleet.truth_component_data(component, granularity, start, end, fields)
        energy[granularity] = sum(row["Wh_sum"] for row in rows if row["Wh_sum"] is not None)
        highest[granularity] = max(row["W_max"] for row in rows if row["W_max"] is not None)
        lowest[granularity] = min(row["W_min"] for row in rows if row["W_min"] is not None)
    assert len(set(highest.values())) == 1
    assert len(set(lowest.values())) == 1
    assert list(energy.values()) == pytest.approx([energy["monthly"]] * 5, rel=1e-6)


def test_some_rows_are_missing_and_some_values_are_null(fleet):
    component = meter(fleet, fleet.site_ids[0])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = fleet.truth_component_data(
        component, "15min", start, start + timedelta(days=60), ["W_avg", "PF_avg"]
    )
    assert len(rows) < 60 * 96
    assert any(row["W_avg"] is None and row["PF_avg"] is not None for row in rows)
    assert any(row["W_avg"] is not None and row["PF_avg"] is None for row in rows)


def test_with_empty_gaps_every_interval_has_a_row():
    fleet = Fleet(now=NOW, gaps="empty")
    component = meter(fleet, fleet.site_ids[0])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = fleet.truth_component_data(component, "15min", start, start + timedelta(days=60), ["W_avg"])
    assert len(rows) == 60 * 96
    future = fleet.truth_component_data(
        component, "yearly", datetime(2000, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC), ["Wh_sum"]
    )
    assert len(future) == 31
    assert future[0]["Wh_sum"] is None
    assert future[-1]["Wh_sum"] is None


def test_there_is_nothing_before_installation_and_nothing_in_the_future(fleet):
    site = fleet.site(fleet.site_ids[0])
    zone = zone_info(site.zone)
    installed = datetime(site.installed.year, site.installed.month, site.installed.day, tzinfo=zone)
    long = fleet.truth_site_data(
        site.id, "daily", installed - timedelta(days=30), NOW + timedelta(days=30), ["Wh_sum"]
    )
    assert long[0]["ts"] == installed.astimezone(UTC)
    assert long[-1]["ts"] <= NOW


def test_the_open_interval_holds_what_there_is_so_far():
    site = Fleet().site_ids[0]
    noon = datetime(2025, 6, 1, 20, 0, tzinfo=UTC)
    values = []
    for minutes in (1, 20, 45, 60):
        fleet = Fleet(now=noon + timedelta(minutes=minutes))
        rows = fleet.truth_site_data(site, "hourly", noon, noon + timedelta(hours=1), ["Wh_sum"])
        values.append(rows[0]["Wh_sum"])
    assert 0 < values[0] < values[1] < values[2] < values[3]


def test_a_removed_site_has_no_data_after_its_removal():
    fleet = Fleet(sites=40, now=NOW)
    (removed,) = [site for site in map(fleet.site, fleet.site_ids) if site.uninstalled]
    rows = fleet.truth_site_data(
        removed.id, "daily", datetime(2019, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), ["Wh_sum"]
    )
    assert rows[-1]["ts"].astimezone(zone_info(removed.zone)).date() < removed.uninstalled


def test_a_revision_changes_its_period_only_and_can_be_forgotten(fleet):
    site = fleet.site_ids[0]
    asked = (site, "hourly", JANUARY, JANUARY + timedelta(days=2), ["Wh_sum", "W_avg"])
    before = fleet.truth_site_data(*asked)
    noon = JANUARY + timedelta(hours=20)
    fleet.revise("site", site, noon, noon + timedelta(hours=2), factor=1.5)
    after = fleet.truth_site_data(*asked)
    changed = {row["ts"] for row, old in zip(after, before, strict=True) if row != old}
    assert changed == {noon, noon + timedelta(hours=1)}
    assert after[20]["Wh_sum"] == pytest.approx(1.5 * before[20]["Wh_sum"], rel=1e-3)
    fleet.forget_revisions()
    assert fleet.truth_site_data(*asked) == before


def test_a_withdrawal_takes_rows_away_or_makes_named_fields_null(fleet):
    site = fleet.site_ids[0]
    asked = (site, "hourly", JANUARY, JANUARY + timedelta(days=1), ["Wh_sum", "W_avg"])
    before = fleet.truth_site_data(*asked)
    fleet.revise("site", site, JANUARY, JANUARY + timedelta(hours=3), withdraw=True)
    fleet.revise(
        "site", site, JANUARY + timedelta(hours=5), JANUARY + timedelta(hours=6), withdraw=True, fields=["W"]
    )
    after = fleet.truth_site_data(*asked)
    assert [row["ts"] for row in after] == [row["ts"] for row in before[3:]]
    assert after[2] == before[5] | {"W_avg": None}


def test_a_revision_of_a_field_that_the_entity_lacks_is_refused(fleet):
    with pytest.raises(ValueError, match="has no base field POAI"):
        fleet.revise("site", fleet.site_ids[0], JANUARY, NOW, fields=["POAI"])


def test_modeled_power_depends_on_its_parameters(fleet):
    site = fleet.site_ids[0]
    asked = (site, "daily", JANUARY, JANUARY + timedelta(days=3), ["W_m_avg"])
    clipped, free = (
        fleet.truth_site_data(*asked, {"inverterClipping": clipping}) for clipping in ("true", "false")
    )
    assert clipped[0]["W_m_avg"] < free[0]["W_m_avg"]
    assert fleet.truth_site_data(*asked) == clipped
