"""Requests that fail for long: whether the API is away, or they alone are never answered."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from locus_stem.demo.compare import Loaded
from locus_stem.pipelines import extract, failing, knowledge, plan
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.slot import Turn, UnansweredError
from locus_stem.tables.coverage import last_fetches
from support.failing_transport import Failing

DAY = date(2025, 10, 26)
SPAN = Loaded(
    "site", "hourly", DAY - timedelta(days=7), DAY + timedelta(days=1), datetime(2030, 1, 1, tzinfo=UTC)
)
#: When details are asked for again.
NEXT_WEEK = datetime.now(UTC).date() + timedelta(days=8)


@pytest.fixture
def before(monkeypatch):
    """`before(plant)`: what stands before the plant's sandbox, while five minutes pass in two seconds."""
    monkeypatch.setattr(extract, "BUDGET_SECONDS", 2.0)

    def put(plant):
        plant.turn_seconds = 1.0
        transport = Failing(plant.server.url)
        plant.sending = {"transport": transport}
        return transport

    return put


def comes_back_at_the_control(monkeypatch, module, transport):
    def is_answered(client, call):
        transport.ends = ()
        return failing.is_answered(client, call)

    monkeypatch.setattr(module, "is_answered", is_answered)


def answer_the_first(plant, planned):
    """Have one request of the batch answered before, so that there is something to hold the others against."""
    requests = requests_of(plant.staging, 0)
    with plant.client() as client:
        turn = Turn(client)
        assert extract_batch(requests[:1], plant.staging.batch(0), turn, {}) == 0
    return requests[0].entity_id


def test_an_api_that_comes_back_as_it_is_tried_has_answers_for_all(plant, before, monkeypatch):
    plant = plant(sites=6)
    planned = plant.plan(DAY)
    answer_the_first(plant, planned)
    transport = before(plant)
    comes_back_at_the_control(monkeypatch, extract, transport)
    transport.ends = ("/data",)
    plant.extract(planned)
    assert len(transport.failed) > 5
    assert plant.load()["skipped"] == {}
    assert plant.differences(SPAN) == []


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "60"}], ids=["at once", "after a wait"])
def test_a_site_that_is_never_answered_is_skipped_and_named_and_the_others_are_loaded(
    plant, before, headers, monkeypatch
):
    monkeypatch.setattr(failing, "CONTROL_SECONDS", 2.0)
    plant = plant(sites=6)
    planned = plant.plan(DAY)
    first = answer_the_first(plant, planned)
    transport = before(plant)
    dead = next(site for site in plant.fleet.site_ids[2:] if site != first)
    transport.ends, transport.headers = (f"/sites/{dead}/data",), headers
    plant.extract(planned)
    loaded = plant.load()
    assert set(loaded["skipped"]) == {str(dead)}
    assert "no usable answer: " in loaded["skipped"][str(dead)]
    assert "503" in loaded["skipped"][str(dead)]
    held = set(plant.lake.read("locus_site_data").column("site_id").to_pylist())
    assert held == set(plant.fleet.site_ids) - {dead}


def in_batches_of_one(monkeypatch):
    """Let a request be expected to take so long that each is a batch of its own."""
    monkeypatch.setattr(plan, "seconds_a_request", lambda *_: 1000.0)


def test_a_site_that_is_never_answered_is_skipped_where_its_batch_holds_no_other(plant, before, monkeypatch):
    in_batches_of_one(monkeypatch)
    plant = plant(sites=4)
    planned = plant.plan(DAY)
    assert len(planned.batches) == 4
    transport = before(plant)
    dead = plant.fleet.site_ids[0]
    transport.ends = (f"/sites/{dead}/data",)
    plant.extract(planned)
    assert set(plant.load()["skipped"]) == {str(dead)}
    held = set(plant.lake.read("locus_site_data").column("site_id").to_pylist())
    assert held == set(plant.fleet.site_ids) - {dead}


def test_an_api_that_is_away_for_every_batch_has_none_of_its_sites_skipped(plant, before, monkeypatch):
    in_batches_of_one(monkeypatch)
    plant = plant(sites=3)
    planned = plant.plan(DAY)
    transport = before(plant)
    transport.ends = ("/data",)
    for _ in range(2):
        with pytest.raises(UnansweredError, match="503"):
            plant.extract(planned)
    transport.ends = ()
    plant.extract(planned)
    assert plant.load()["skipped"] == {}
    assert plant.differences(SPAN) == []


def test_details_of_an_api_that_comes_back_as_it_is_tried_are_all_had(plant, before, monkeypatch):
    plant = plant(sites=4)
    plant.inventory()
    transport = before(plant)
    comes_back_at_the_control(monkeypatch, knowledge, transport)
    # the partner's own comes first: the only one of its kind, so that it is held against itself
    monkeypatch.setattr(knowledge.random, "sample", lambda calls, _: list(calls))
    transport.ends = ("/dataavailable", "/installinfo", "/modelsettings")
    plant.inventory(today=NEXT_WEEK)
    assert len(transport.failed) > 3
    assert plant.refused == {}


def test_a_detail_that_is_never_answered_is_named(plant, before, monkeypatch):
    plant = plant(sites=4)
    plant.inventory()
    transport = before(plant)
    dead = plant.fleet.site_ids[1]

    def dead_first(lake, table):
        return dict(
            sorted(last_fetches(lake, table).items(), key=lambda item: item[0] != ("site", str(dead)))
        )

    monkeypatch.setattr(knowledge, "last_fetches", dead_first)
    transport.ends = (f"/sites/{dead}/installinfo",)
    plant.inventory(today=NEXT_WEEK)
    assert set(plant.refused) == {("site", dead)}
    assert "no usable answer: " in plant.refused["site", dead]
