from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from locus_stem.planning.backfill import BackfillPlan, plan_backfill
from locus_stem.planning.entities import Entity, chosen_entities
from locus_stem.planning.params import BackfillParams, ParamError

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CLIENTS = [{"client_id": 9, "tz": "us/eastern"}, {"client_id": 8, "tz": None}]
SITES = [
    {"site_id": 2, "client_id": 9, "name": "Barn", "location_timezone": "america/Denver", "removed_on": None},
    {"site_id": 1, "client_id": 9, "name": "Roof", "location_timezone": None, "removed_on": None},
    {
        "site_id": 3,
        "client_id": 9,
        "name": "Gone",
        "location_timezone": "UTC",
        "removed_on": date(2024, 1, 5),
    },
    {"site_id": 4, "client_id": 8, "name": "Lost", "location_timezone": None, "removed_on": None},
]


def component(
    component_id: int, site_id: int, *, conceptual: bool = False, removed: date | None = None
) -> dict[str, Any]:
    return {
        "component_id": component_id,
        "site_id": site_id,
        "is_conceptual_node": conceptual,
        "removed_on": removed,
    }


COMPONENTS = [
    component(21, 2),
    component(20, 2, conceptual=True),
    component(11, 1),
    component(12, 1, removed=date(2024, 2, 2)),
    component(31, 3),
    component(10, 2),
]
MODEL = json.dumps([{"param": "modelType", "values": ["simple", "singleDiode"]}])


def field(
    kind: str, key: int, name: str | None, source: str = "Measured", parameters: str = "[]"
) -> dict[str, Any]:
    return {
        "entity_type": kind,
        "entity_id": key,
        "short_name": name,
        "source": source,
        "granularities": ["15min", "hourly", "daily"],
        "field_parameters": parameters,
    }


AVAILABLE = [
    *(field("site", key, "Wh_sum") for key in (1, 2, 3, 4)),
    field("site", 2, "W_avg"),
    field("site", 2, "W_m_avg", "Modeled", MODEL),
    field("site", 2, None, "Measured"),
    *(field("component", key, "A_avg") for key in (10, 11, 12, 20, 21, 31)),
]
PARAMS = BackfillParams(start=date(2024, 1, 1), end=date(2024, 3, 1), granularity="15min")


def plan(params: BackfillParams = PARAMS, **changed: Any) -> BackfillPlan:
    given = {"sites": SITES, "components": COMPONENTS, "clients": CLIENTS, "available": AVAILABLE, "now": NOW}
    return plan_backfill(params, **(given | changed))


def test_requests_go_by_entity_then_time_then_fields() -> None:
    planned = plan(replace(PARAMS, fields=("Wh_sum", "W_m_avg")))
    order = [(each.entity_id, each.slice.query_start, each.group.fields) for each in planned.requests]
    assert order == [
        (1, "2024-01-01T05:00:00", ("Wh_sum",)),
        (1, "2024-02-01T05:00:00", ("Wh_sum",)),
        (2, "2024-01-01T07:00:00", ("Wh_sum",)),
        (2, "2024-01-01T07:00:00", ("W_m_avg",)),
        (2, "2024-02-01T07:00:00", ("Wh_sum",)),
        (2, "2024-02-01T07:00:00", ("W_m_avg",)),
        (4, "2024-01-01T00:00:00", ("Wh_sum",)),
        (4, "2024-02-01T00:00:00", ("Wh_sum",)),
    ]
    assert {each.group.parameters for each in planned.requests if each.group.fields == ("W_m_avg",)} == {
        (("modelType", "simple"),)
    }


def test_a_site_is_asked_in_its_own_zone_else_its_clients_else_utc_with_a_note_that_names_it() -> None:
    planned = plan(replace(PARAMS, granularity="daily"))
    zones = {each.entity_id: (each.zone, each.slice.tz) for each in planned.requests}
    assert zones == {1: ("US/Eastern",) * 2, 2: ("America/Denver",) * 2, 4: ("UTC",) * 2}
    (note,) = planned.notes
    assert "site 4 (Lost)" in note


def test_a_removed_site_is_asked_no_more_and_listed_only_if_it_was_named() -> None:
    assert {each.entity_id for each in plan().requests} == {1, 2, 4}
    assert plan().skipped == ()
    named = plan(replace(PARAMS, site_ids=(2, 3)))
    assert {each.entity_id for each in named.requests} == {2}
    (skipped,) = named.skipped
    assert skipped.entity == Entity("site", 3, 3)
    assert "since 2024-01-05" in skipped.reason


def test_at_component_level_neither_conceptual_nor_removed_ones_are_asked() -> None:
    planned = plan(replace(PARAMS, level="component", end=date(2024, 1, 2)))
    assert [(each.entity_type, each.entity_id, each.site_id) for each in planned.requests] == [
        ("component", 11, 1),
        ("component", 10, 2),
        ("component", 21, 2),
    ]
    assert planned.skipped == ()
    assert planned.requests[0].zone == "US/Eastern"


def test_components_that_are_named_but_cannot_be_asked_are_skipped_with_the_reason() -> None:
    params = replace(PARAMS, level="component", component_ids=(12, 20, 21, 31, 11), site_ids=(1, 2, 3))
    planned = plan(replace(params, site_ids=(2, 3)))
    assert {each.entity_id for each in planned.requests} == {21}
    reasons = {skipped.entity.entity_id: skipped.reason for skipped in planned.skipped}
    assert reasons == {
        11: "its site 1 is not in site_ids",
        12: "its site 1 is not in site_ids",
        20: "conceptual: it measures nothing",
        31: "the API has not listed this component's site since 2024-01-05",
    }
    reasons = {skipped.entity.entity_id: skipped.reason for skipped in plan(params).skipped}
    assert reasons[12] == "the API has not listed this component since 2024-02-02"


def test_site_ids_choose_the_components_of_those_sites() -> None:
    chosen = chosen_entities(replace(PARAMS, level="component", site_ids=(2, 4)), SITES, COMPONENTS)
    assert [entity.entity_id for entity in chosen.entities] == [10, 21]
    assert chosen.notes == ("no component to ask at site 4",)


@pytest.mark.parametrize(
    ("params", "param", "parts"),
    [
        (
            replace(PARAMS, site_ids=(1, 77, 78)),
            "site_ids",
            ["no site 77, 78", "4 are known, such as 1, 2, 3, 4"],
        ),
        (
            replace(PARAMS, level="component", component_ids=(77,)),
            "component_ids",
            ["no component 77", "6 are known"],
        ),
        (replace(PARAMS, level="component", site_ids=(77,)), "site_ids", ["no site 77", "4 are known"]),
    ],
)
def test_unknown_ids_are_refused_with_examples_of_known_ones(
    params: BackfillParams, param: str, parts: list[str]
) -> None:
    with pytest.raises(ParamError) as caught:
        plan(params)
    assert caught.value.param == param
    assert all(part in str(caught.value) for part in parts)


def test_without_any_known_site_an_id_is_refused_and_says_so() -> None:
    with pytest.raises(ParamError, match="no site is known"):
        plan(replace(PARAMS, site_ids=(1,)), sites=[])


def test_an_account_without_sites_has_an_empty_plan_that_says_so() -> None:
    for level, what in (("site", "no sites"), ("component", "no components")):
        planned = plan(replace(PARAMS, level=level), sites=[], components=[], available=[])
        assert planned.requests == planned.skipped == ()
        assert what in planned.notes[0]


def test_an_entity_without_the_wanted_field_is_skipped_and_the_others_are_asked() -> None:
    planned = plan(replace(PARAMS, fields=("W_avg",)))
    assert {each.entity_id for each in planned.requests} == {2}
    assert {(skipped.entity.entity_id, skipped.reason) for skipped in planned.skipped} == {
        (1, "none of W_avg at 15min"),
        (4, "none of W_avg at 15min"),
    }


def test_an_entity_without_measured_fields_or_without_any_is_skipped() -> None:
    few = [field("site", 1, "Wh_sum"), field("site", 2, "W_m_avg", "Modeled"), field("component", 4, "A_avg")]
    planned = plan(available=few)
    assert {each.entity_id for each in planned.requests} == {1}
    assert {skipped.entity.entity_id: skipped.reason for skipped in planned.skipped} == {
        2: "no Measured field at 15min",
        4: "dataavailable lists no field",
    }


@pytest.mark.parametrize("changed", [{"fields": ("Wh_summ",)}, {"granularity": "1min"}])
def test_a_plan_in_which_no_entity_has_a_field_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ParamError) as caught:
        plan(replace(PARAMS, **changed))
    assert caught.value.param == "fields"


def test_fields_of_entities_that_are_not_chosen_do_not_count() -> None:
    with pytest.raises(ParamError, match="W_avg"):
        plan(replace(PARAMS, site_ids=(1,), fields=("W_avg",)))


def test_a_range_without_closed_intervals_asks_nothing_and_says_so() -> None:
    planned = plan(replace(PARAMS, start=date(2024, 6, 2), end=date(2024, 6, 9), site_ids=(1, 2)))
    assert planned.requests == ()
    (note,) = planned.notes
    assert "2 of 2 sites have no closed 15min interval in [2024-06-02, 2024-06-09)" in note


def test_a_year_of_quarter_hours_is_12_requests_a_site() -> None:
    params = replace(PARAMS, start=date(2023, 1, 1), end=date(2024, 1, 1), site_ids=(1, 2))
    assert len(plan(params).requests) == 24


def test_two_plans_of_the_same_rows_in_another_order_are_the_same_and_no_key_comes_twice() -> None:
    params = replace(PARAMS, fields=("W_avg", "W_m_avg", "Wh_sum"))
    turned = plan(params, sites=SITES[::-1], components=COMPONENTS[::-1], available=AVAILABLE[::-1])
    assert turned.requests == plan(params).requests
    keys = [each.key for each in turned.requests]
    assert len(set(keys)) == len(keys)


def test_a_year_of_a_fleet_of_5000_components_is_planned_within_seconds() -> None:
    sites = [SITES[0] | {"site_id": key} for key in range(1, 501)]
    components = [component(key, key % 500 + 1) for key in range(1, 5001)]
    available = [field("component", key, f"F{number}_avg") for key in range(1, 5001) for number in range(20)]
    params = replace(PARAMS, level="component", start=date(2023, 1, 1), end=date(2024, 1, 1))
    begun = time.process_time()
    planned = plan(params, sites=sites, components=components, available=available)
    assert len(planned.requests) == 60_000
    assert time.process_time() - begun < 10
