"""Who there is at Stem: clients, then each client's sites, page by page, at most once a day.

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

from locus_stem.api.errors import RefusedError, RetriableError, StemNoResults
from locus_stem.api.stem import Paging, StemEndpoints
from locus_stem.pipelines.plan import NothingAllowedError
from locus_stem.pipelines.slot import UnansweredError
from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.coverage import Fetch, last_fetches, record_fetches
from locus_stem.tables.objects import gone_from, load_objects
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from locus_stem.api.endpoint import Call
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

__all__ = ["CLIENTS", "SITES", "Listed", "listed_sites", "refresh_sites"]

CLIENTS, SITES, COVERAGE = "stem_clients", "stem_sites", "coverage"
#: The entity type and id of the listing of all clients.
ACCOUNT = ("account", "")
GONE = "the API no longer lists it"
#: Seconds for which a page of a client's sites is asked for again where that fails.
PATIENCE = 60.0
#: Lists that take more, in bytes, are loaded before the next client is asked.
MOST_HELD = 16 * 2**20


@dataclass(frozen=True, slots=True)
class _List:
    """A list that has ended.

    :param is_whole: what it lacks is no longer listed.
    :param weight: what it takes, in bytes.
    """

    objects: list[dict[str, Any]]
    is_whole: bool
    weight: int

    def of_client(self, client: str) -> _List:
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


def refresh_sites(lake: Lake, today: date, turn: Turn) -> tuple[int, dict[str, LoadCounts]]:
    """Fetch the clients and each client's sites where that has not been done today, or was refused, and load them.

    A client whose list fails while others' are answered counts as refused: its sites are asked for by the next run.

    :return: clients that are left for a next turn; rows by table.
    :raises NothingAllowedError: the API refuses to list the clients, or the sites of any of them.
    :raises UnansweredError: the whole turn has brought nothing.
    """
    last = last_fetches(lake, CLIENTS).get(ACCOUNT)
    counts: dict[str, LoadCounts] = {}
    if last is None or last.day < today:
        counts = _refresh_clients(lake, today, turn)
    listed = _listed(lake, CLIENTS)
    fetches = last_fetches(lake, SITES)
    known = {client: fetches.get(("client", client)) for client in sorted(listed)}
    due = [client for client, fetch in known.items() if not fetch or fetch.skipped or fetch.day < today]
    found: dict[str, _List] = {}
    refused: dict[str, str] = {}
    failing: dict[str, RetriableError] = {}
    done: list[str] = []
    try:
        for client in due:
            if turn.over():
                break
            if sum(one.weight for one in found.values()) > MOST_HELD:
                counts = summed(counts, _load_sites(lake, found, today))
                found = {}
            try:
                call = StemEndpoints.get_client_sites.request(client_id=client)
                found[client] = _listed_by(call, turn, PATIENCE).of_client(client)
            except RetriableError as error:
                log.warning("client %s: its sites are not to be had: %s", client, error)
                failing[client] = error
                continue
            except RefusedError as error:
                log.warning("client %s: its sites are refused: %s", client, error)
                refused[client] = str(error)
            except UnansweredError:
                if not done:
                    raise
                break
            done.append(client)
            turn.progress("lists of sites", len(done), len(due))
        if failing and not done and not any(_is_answered_today(fetch, today) for fetch in known.values()):
            raise next(iter(failing.values()))
        refused |= {client: f"no usable answer: {error}" for client, error in failing.items()}
        done += failing
    finally:
        loaded = _load_sites(lake, found, today)
        fetched = [Fetch("client", client, today, refused.get(client)) for client in done]
        counts = summed(counts, loaded, {COVERAGE: record_fetches(lake, SITES, fetched)} if fetched else {})
    if refused and len(refused) == len(listed):
        raise NothingAllowedError(
            f"The API refuses to list the sites of any of the {len(listed)} clients: {next(iter(refused.values()))}"
        )
    return len(due) - len(done), counts


def _is_answered_today(fetch: Fetch | None, today: date) -> bool:
    return fetch is not None and not fetch.skipped and fetch.day >= today


def listed_sites(lake: Lake) -> Listed:
    """Read what the lake knows of the sites and of the last listings."""
    rows = lake.read(SITES).to_pylist()
    clients = _listed(lake, CLIENTS)
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


def _refresh_clients(lake: Lake, today: date, turn: Turn) -> dict[str, LoadCounts]:
    try:
        listed = _listed_by(StemEndpoints.get_clients.request(), turn)
    except RefusedError as error:
        raise NothingAllowedError(f"The API refuses to list the clients: {error}") from error
    objects = listed.objects
    if not objects:
        log.warning("%s: the API lists nothing; no site is asked", CLIENTS)
    counts = load_objects(lake, CLIENTS, objects, complete=False, today=today)
    gone = gone_from(CLIENTS, objects, lake.read(CLIENTS)) if listed.is_whole else set[str]()
    marked = _mark(lake, CLIENTS, "client", _ids(objects), gone, today)
    log.info("%s: %d listed, %s", CLIENTS, len(objects), counts)
    return {CLIENTS: counts, COVERAGE: marked + record_fetches(lake, CLIENTS, [Fetch(*ACCOUNT, today)])}


def _load_sites(lake: Lake, of_client: Mapping[str, _List], today: date) -> dict[str, LoadCounts]:
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


def _listed(lake: Lake, table: str) -> set[str]:
    """Return the clients that the last listing had."""
    marks: Mapping[tuple[str, str], Fetch] = last_fetches(lake, table)
    known = lake.read(table, ["client_id"]).column("client_id").to_pylist()
    gone = {entity for (kind, entity), fetch in marks.items() if kind == "client" and fetch.skipped}
    return set(known) - gone


def _listed_by(call: Call, turn: Turn, patience: float | None = None) -> _List:
    """Ask for all pages of a list.

    :param patience: seconds for which a page is asked for again where it fails; None: the client's budget.
    :raises RefusedError: the list is refused.
    :raises RetriableError: it still failed then, or doesn't end.
    :raises UnansweredError: the API kept failing until the turn's end.
    """
    paging, found = Paging(call), list[dict[str, Any]]()
    while paging.call is not None:
        try:
            page = turn.answer(paging.call, set_aside=patience)
        except StemNoResults:
            page = None
        found += paging.take(page)
    if not paging.is_whole:
        log.warning("%s: fewer are listed than its total tells: none counts as gone", call.path)
    return _List(found, paging.is_whole, paging.weight)


def _ids(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(one["id"]) for one in objects if isinstance(one.get("id"), str | int)}
