"""Clients whose sites can't be listed, for a while or for good: the others' are asked for once, and all are named."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from locus_stem.api.errors import RetriableError
from locus_stem.pipelines import failing, stem_refresh
from locus_stem.pipelines.slot import Turn, UnansweredError
from locus_stem.sandbox.options import Fault
from locus_stem.tables.staging import Staging, StagingError
from support.failing_transport import Failing

CLIENTS, SITES = 5, 10
TODAY = datetime.now(UTC).date()


@pytest.fixture
def slow(storage, monkeypatch):
    """Make storages of several clients, in which five minutes pass in a second and a turn in half of one."""
    monkeypatch.setattr(stem_refresh, "BUDGET_SECONDS", 1.0)
    monkeypatch.setattr(failing, "CONTROL_SECONDS", 1.0)

    def make(*, hangs=0.0, **options):
        made = storage(sites=SITES, **options)
        monkeypatch.setattr(made.fleet.stem, "clients", CLIENTS)
        transport = Failing(made.server.url, hangs=hangs, most=300)
        made.sending = {"transport": transport}
        return made, transport

    return make


def ends(storage, *places):
    return tuple(f"/{storage.fleet.stem.client_ids[place]}/sites" for place in places)


def listings(storage):
    """Count the lists of sites that were asked for, by client."""
    asked = [served.path for served in storage.server.log if served.path.endswith("/sites")]
    return Counter(unquote(path.split("/")[4]) for path in asked)


def plan(storage):
    return storage.plan(seconds=0.5, set_aside=0.2)


def planned_sites(storage, planned):
    storage.extract(planned)
    return set(storage.load()["skipped"]), {name for name, *_ in storage.rows()}


@pytest.mark.parametrize(
    ("places", "hangs"), [((0, 1, 2, 3), 0.0), ((4,), 0.0), ((0, 1), 0.3), ((1, 2), 0.3)], ids=str
)
def test_clients_that_are_never_answered_are_named_and_the_others_asked_once(slow, places, hangs):
    storage, transport = slow(hangs=hangs)
    transport.ends = ends(storage, *places)
    planned = plan(storage)
    dead = {storage.fleet.stem.client_ids[place] for place in places}
    alive = set(storage.fleet.stem.client_ids) - dead
    asked = listings(storage)
    assert asked.keys() == alive
    assert sum(asked.values()) <= len(alive) + len(dead), (
        "once each, and once again to see that the API works"
    )
    refused = storage.staging.read_json("plan.json")["refused"]
    assert refused.keys() == {f"(any of client {client})" for client in dead}
    assert all("no usable answer: " in reason for reason in refused.values())
    skipped, held = planned_sites(storage, planned)
    assert skipped == set()
    assert held == {site for client in alive for site in storage.fleet.stem.client_site_ids(client)}


def test_a_client_that_fails_for_a_while_is_listed_in_a_later_turn(slow):
    storage, transport = slow()
    transport.ends = ends(storage, 0)
    with storage.client() as client:
        turn = Turn(client, 0.5, set_aside=0.2)
        left, _ = stem_refresh.refresh_sites(storage.lake, TODAY, turn, "stem-test")
    assert left == 1
    transport.ends = ("nothing",)
    plan(storage)
    assert listings(storage) == dict.fromkeys(storage.fleet.stem.client_ids, 1)
    assert storage.staging.read_json("plan.json")["refused"] == {}
    assert len(storage.lake.read("stem_sites")) == SITES


def test_refused_clients_that_fill_a_turn_are_each_asked_once_a_run_and_again_by_the_next(slow):
    storage, _ = slow(latency_ms=200)
    refused = storage.fleet.stem.client_ids[:4]
    storage.serve(faults=tuple(Fault("forbidden", target=name) for name in refused))
    storage.sending = {}
    plan(storage)
    assert listings(storage) == dict.fromkeys(storage.fleet.stem.client_ids, 1)
    storage.run_id = "next"
    plan(storage)
    assert listings(storage) == dict.fromkeys(refused, 2) | {storage.fleet.stem.client_ids[4]: 1}


def test_a_run_that_has_nothing_to_list_notes_nothing(slow):
    storage, _ = slow()
    plan(storage)
    storage.run_id = "next"
    plan(storage)
    assert listings(storage) == dict.fromkeys(storage.fleet.stem.client_ids, 1)
    with pytest.raises(StagingError):
        Staging.of_turns(storage.lake, "stem-next").read_json("clients.json")


def test_where_no_client_is_answered_the_task_fails_and_the_next_try_asks_all_again(slow):
    storage, transport = slow()
    transport.ends = ends(storage, *range(CLIENTS))
    for _ in range(2):
        with pytest.raises(RetriableError, match="503"):
            plan(storage)
    transport.ends = ("nothing",)
    plan(storage)
    assert len(storage.lake.read("stem_sites")) == SITES
    assert storage.staging.read_json("plan.json")["refused"] == {}


def test_an_api_that_goes_away_after_it_has_answered_some_has_none_of_the_others_named(slow):
    storage, transport = slow()
    transport.ends = ends(storage, 2, 3, 4)
    asked = 0

    def served():
        nonlocal asked
        asked += 1
        return asked > 2

    alive = transport.real.handle_request

    def goes_away(request):
        if request.url.path.endswith("/sites") and served() and transport.ends:
            transport.ends = ("/sites",)
            return transport.handle_request(request)
        return alive(request)

    transport.real.handle_request = goes_away
    with pytest.raises(UnansweredError, match="503"):
        plan(storage)
    transport.real.handle_request = alive
    transport.ends = ("nothing",)
    plan(storage)
    assert storage.staging.read_json("plan.json")["refused"] == {}
    assert len(storage.lake.read("stem_sites")) == SITES


def test_a_list_that_takes_longer_than_a_turn_is_not_begun_again(storage, monkeypatch):
    storage = storage(sites=450, latency_ms=150)
    monkeypatch.setattr(storage.fleet.stem, "clients", 1)
    storage.plan(seconds=0.4, plan_only=True)
    pages = Counter(served.query for served in storage.server.log if served.path.endswith("/sites"))
    assert set(pages.values()) == {1}
    assert len(pages) == 5
    assert len(storage.lake.read("stem_sites")) == 450
