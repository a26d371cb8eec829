"""Hostile and broken answers over real sockets: what they cost, what they end, and that they spoil nothing else.

By itself each evil meets one of the places in turn, and every third also one whose answers are about all; with
UNTRUSTED=all each meets all of them (`make test-untrusted`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from locus_stem.demo.compare import measured
from support.evils import ENDLESS_LIST, EVILS, FAT_PAGES, HEAVIEST, LONG_TEXT, MANY

#: MB of resident memory, the interpreter and the package included.
MOST_MEMORY = 600
MOST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where an evil strikes.

    :param path: with the names of entities of the fleet in braces.
    :param owner: the entity of which an answer is; empty: of all.
    """

    pipeline: str
    path: str
    owner: str = ""


OF_ONE = (
    Place("site data", "/v3/sites/{site}/data", "site"),
    Place("site data", "/v3/sites/{site}/dataavailable", "site"),
    Place("component data", "/v3/components/{component}/data", "component"),
    Place("inventory", "/v3/sites/{site}/installinfo", "site"),
    Place("inventory", "/v3/components/{component}/dataavailable", "component"),
    Place("streams", "/api/v1/sites/{stem_site}/streams", "stem_site"),
    Place("streams", "/api/v1/clients/{client}/sites", "client"),
)
OF_ALL = (
    Place("bulk", "/v3/partners/1/sites/data"),
    Place("inventory", "/v3/partners/1/components"),
    Place("alerts", "/v3/partners/1/alerts"),
    Place("streams", "/api/v1/clients"),
    Place("site data", "/oauth/token"),
    Place("button", "/v3/partners/1/clients"),
    Place("look", "/v3/sites/{site}/data"),
    Place("trigger", "/v3/sites/{site}/data"),
)
#: Of what they hold nothing is changed by an answer that can't be read.
MEASURED = {"locus_site_data", "locus_component_data", "locus_bulk_monthly", "stem_streams"}
#: Answers that measurements can hold: other values than the honest ones, all the same.
TAKEN = {"-0.0"}
ALL = os.environ.get("UNTRUSTED") == "all"
PAIRS = [
    pytest.param(place, evil, id=f"{place.pipeline}-{place.path}-{evil.name}")
    for places, nth in ((OF_ONE, 1), (OF_ALL, 3))
    for number, evil in enumerate(EVILS)
    for turn, place in enumerate(places)
    if ALL or (number % nth == 0 and turn == number // nth % len(places))
]


def names(field):
    fleet = field.fleet
    component = next(one for one in fleet.all_components() if measured(fleet, "component", one.id, "hourly"))
    return {
        "site": str(fleet.site_ids[1]),
        "component": str(component.id),
        "stem_site": fleet.stem.site_ids[1],
        "client": fleet.stem.client_ids[1],
    }


def path_of(field, place):
    return place.path.format(**{name: quote(value, safe="") for name, value in names(field).items()})


def owned(field, place):
    """Name the entities of which nothing has to be there: a client's sites are what its list tells."""
    own = names(field)[place.owner]
    return {own, *(field.fleet.stem.client_site_ids(own) if place.owner == "client" else ())}


def measurements(met, owners):
    return {key: rows for key, rows in met.rows.items() if key[0] in MEASURED and key[1] in owners}


@pytest.mark.parametrize(("place", "evil"), PAIRS)
def test_an_evil_costs_little_ends_soon_and_spoils_nothing_else(field, place, evil, record_property):
    honest = field.honest(place.pipeline)
    found = field.meet(place.pipeline, path_of(field, place), evil)
    how = "error" if found.error else "skipped" if found.skipped else "taken"
    record_property("evil", [place.pipeline, place.path, evil.name, found.peak, how, found.seconds])
    assert found.asked
    assert found.peak < MOST_MEMORY
    assert found.seconds < MOST_SECONDS
    if not place.owner or evil.stops:
        return
    own = owned(field, place)
    if place.path.endswith(("/data", "/streams")) and evil.name not in TAKEN:
        assert measurements(found, own) == ({} if found.skipped else measurements(honest, own))
    assert not found.error
    due = {key: rows for key, rows in honest.rows.items() if key[1] not in own}
    assert {key: found.rows.get(key) for key in due} == due
    if place.owner != "client":  # its list can name sites that nobody knows
        assert {key for key in found.rows if key[1] not in own} == due.keys()
        assert set(found.skipped) <= own


#: Those that leave an answer whose rows and objects can be told, so that what is lacking in it might count as gone.
READABLE = [
    evil
    for evil in EVILS
    if evil.name.startswith(("ids", "the same id", "a key twice", "a stream", "null", "a list of"))
]
PLACES = (
    Place("bulk", "/v3/partners/1/sites/data"),
    Place("inventory", "/v3/partners/1/components"),
    Place("inventory", "/v3/partners/1/sites"),
    Place("site data", "/v3/sites/{site}/data"),
    Place("streams", "/api/v1/sites/{stem_site}/streams"),
)


@pytest.mark.parametrize("evil", READABLE, ids=lambda evil: evil.name)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_an_answer_takes_nothing_away_that_it_does_not_tell(field, place, evil):
    honest = field.honest(place.pipeline)
    found = field.meet_filled(place.pipeline, path_of(field, place), evil)
    assert found.asked
    assert honest.rows.keys() <= found.rows.keys()
    left = [row for key in honest.rows for row in found.rows[key]]
    assert [row for row in left if "removed_on" in row or "withdrawn_at" in row] == []
    measured = {key: rows for key, rows in honest.rows.items() if key[0] in MEASURED}
    assert {key: found.rows[key] for key in measured} == measured


def test_a_list_that_never_ends_is_given_up(field):
    found = field.meet("streams", "/api/v1/clients", ENDLESS_LIST)
    assert found.error
    assert 1 < found.asked <= 1002
    assert found.peak < MOST_MEMORY


#: Answers that are all taken, and those of several entities or pages held at once.
HEAVY = [
    (Place("inventory", "/installinfo"), LONG_TEXT),
    (Place("inventory", "/dataavailable"), LONG_TEXT),
    (Place("streams", "/sites"), FAT_PAGES),
    (Place("inventory", "/v3/partners/1/clients"), HEAVIEST),
]
HEAVIER = [(Place("alerts", "/v3/partners/1/alerts"), MANY)]


@pytest.mark.parametrize(
    ("place", "evil"),
    [pytest.param(place, evil, id=f"{place.path}-{evil.name}") for place, evil in HEAVY + HEAVIER * ALL],
)
def test_heavy_answers_that_are_taken_do_not_add_up(field, place, evil):
    field.end_process()  # as a task's, it has nothing left of another
    found = field.meet(place.pipeline, place.path, evil)
    assert found.asked > 1 or evil is HEAVIEST
    assert found.peak < MOST_MEMORY


def test_a_gigabyte_is_not_taken_before_the_client_hangs_up(field):
    before = field.hostile.sent
    (evil,) = (one for one in EVILS if one.name == "1 GB, not announced")
    found = field.meet("site data", f"/v3/sites/{field.fleet.site_ids[1]}/data", evil)
    assert found.skipped == [str(field.fleet.site_ids[1])]
    assert field.hostile.sent - before < 64 * 2**20
