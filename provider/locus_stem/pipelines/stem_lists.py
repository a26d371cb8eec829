"""Who there is at Stem, as the lake knows it: clients, each client's sites, and on which day each was listed.

The tables keep the rows of what is no longer listed. That, and the day of each listing, `coverage` remembers
(granularity and field empty): source ``stem_clients`` has the listing of all clients, ``stem_sites`` that of each
client, and both have a row with ``skipped`` for each client and site on the day on which it was no longer listed,
and one without when it came back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from locus_stem.tables.coverage import Fetch, last_fetches, record_fetches
from locus_stem.tables.objects import gone_from, load_objects
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

__all__ = [
    "ACCOUNT",
    "CLIENTS",
    "COVERAGE",
    "SITES",
    "Listed",
    "ObjectList",
    "listed_clients",
    "listed_sites",
    "load_clients",
    "load_sites",
]

CLIENTS, SITES, COVERAGE = "stem_clients", "stem_sites", "coverage"
#: The entity type and id of the listing of all clients.
ACCOUNT = ("account", "")
GONE = "the API no longer lists it"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A list that has ended.

    :param is_whole: what it lacks is no longer listed.
    :param weight: what it takes, in bytes.
    """

    objects: list[dict[str, Any]]
    is_whole: bool
    weight: int

    def of_client(self, client: str) -> ObjectList:
        """Give listed sites as this client's, whichever client they name themselves."""
        mine = [
            {**{name: one[name] for name in one if snake_case(name) != "client_id"}, "client_id": client}
            for one in self.objects
        ]
        return replace(self, objects=mine)


@dataclass(frozen=True, slots=True)
class Listed:
    """The sites as they were last listed.

    :param rows: of ``stem_sites``, all that were ever listed.
    :param unlisted: sites that aren't listed any more, and why they aren't asked.
    :param refused: sites of clients that the API refuses to tell the sites of, and why; a client of which no site is
        known stands for its sites.
    """

    rows: list[dict[str, Any]]
    unlisted: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def listed_sites(lake: Lake) -> Listed:
    """Read what the lake knows of the sites and of the last listings."""
    rows = lake.read(SITES).to_pylist()
    clients = listed_clients(lake)
    fetches = last_fetches(lake, SITES)
    found = Listed(rows)
    of_client: dict[str, list[str]] = {client: [] for client in clients}
    for row in rows:
        site, client = row["site_id"], row["client_id"]
        gone = fetches.get(("site", site))
        if client not in clients:
            found.unlisted[site] = f"the API no longer lists its client {client!r}"
        elif gone and gone.skipped:
            found.unlisted[site] = f"{gone.skipped}: it was missing on {gone.day}"
        else:
            of_client[client].append(site)
    for client, sites in of_client.items():
        fetch = fetches.get(("client", client))
        if fetch and fetch.skipped:
            reason = f"the sites of its client {client!r} are refused: {fetch.skipped}"
            found.refused.update(dict.fromkeys(sites or [f"(any of client {client})"], reason))
    return found


def load_clients(lake: Lake, listed: ObjectList, today: date) -> dict[str, LoadCounts]:
    """Load the list of clients, and mark those that it lacks, if it can tell."""
    objects = listed.objects
    if not objects:
        log.warning("%s: the API lists nothing; no site is asked", CLIENTS)
    counts = load_objects(lake, CLIENTS, objects, complete=False, today=today)
    gone = gone_from(CLIENTS, objects, lake.read(CLIENTS)) if listed.is_whole else set[str]()
    marked = _mark(lake, CLIENTS, "client", _ids(objects), gone, today)
    log.info("%s: %d listed, %s", CLIENTS, len(objects), counts)
    return {CLIENTS: counts, COVERAGE: marked + record_fetches(lake, CLIENTS, [Fetch(*ACCOUNT, today)])}


def load_sites(lake: Lake, of_client: Mapping[str, ObjectList], today: date) -> dict[str, LoadCounts]:
    """Load the sites of clients whose list has ended, and mark those of their sites that it lacks, if it can tell."""
    if not of_client:
        return {}
    objects = [one for mine in of_client.values() for one in mine.objects]
    counts = load_objects(lake, SITES, objects, complete=False, today=today)
    known, gone = lake.read(SITES), set[str]()
    for client, mine in of_client.items():
        if mine.is_whole:
            gone |= gone_from(SITES, mine.objects, known.filter(pc.equal(known.column("client_id"), client)))
    marked = _mark(lake, SITES, "site", _ids(objects), gone, today)
    log.info("%s: %d listed of %d client(s), %s", SITES, len(objects), len(of_client), counts)
    return {SITES: counts, COVERAGE: marked}


def _mark(lake: Lake, table: str, kind: str, listed: set[str], gone: set[str], today: date) -> LoadCounts:
    """Remember which are no longer listed, and which are again."""
    before = {
        entity for (of, entity), fetch in last_fetches(lake, table).items() if of == kind and fetch.skipped
    }
    gone, back = gone - listed - before, listed & before
    if gone:
        log.warning("%s: no longer listed: %s", table, ", ".join(sorted(gone)))
    marks = [Fetch(kind, entity, today, GONE) for entity in sorted(gone)]
    return record_fetches(lake, table, [*marks, *(Fetch(kind, entity, today) for entity in sorted(back))])


def listed_clients(lake: Lake) -> set[str]:
    """Return the clients that the last listing had."""
    marks = last_fetches(lake, CLIENTS)
    known = lake.read(CLIENTS, ["client_id"]).column("client_id").to_pylist()
    gone = {entity for (kind, entity), fetch in marks.items() if kind == "client" and fetch.skipped}
    return set(known) - gone


def _ids(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(one["id"]) for one in objects if isinstance(one.get("id"), str | int)}
