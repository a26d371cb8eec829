"""Ask Stem who there is: its clients, then each client's sites, page by page, at most once a day.

A client whose list fails is asked again after the others, in the run's later turns too. When it has failed for as long
as one request may be tried, and one whose list was answered before still is, its sites are left to the next run.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import OversizedAnswerError, RefusedError, RetriableError, StemNoResults
from locus_stem.api.pipeline import is_of_all
from locus_stem.api.retry import BUDGET_SECONDS
from locus_stem.api.stem import Paging, StemEndpoints
from locus_stem.pipelines.asked import AskedClients
from locus_stem.pipelines.failing import failing_still, is_answered
from locus_stem.pipelines.plan import NothingAllowedError
from locus_stem.pipelines.slot import UnansweredError
from locus_stem.pipelines.stem_lists import (
    ACCOUNT,
    CLIENTS,
    COVERAGE,
    SITES,
    ObjectList,
    listed_clients,
    load_clients,
    load_sites,
)
from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.coverage import Fetch, last_fetches, record_fetches

if TYPE_CHECKING:
    from datetime import date

    from locus_stem.api.endpoint import Call
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

__all__ = ["refresh_sites"]

#: Lists that take more, in bytes, are loaded before the next client is asked.
MOST_HELD = 16 * 2**20
#: Seconds that a page of a list that has begun is given, if the turn ends sooner: lists aren't begun again for ever.
PAGE_SECONDS = 60.0


def refresh_sites(lake: Lake, today: date, turn: Turn, run_scope: str) -> tuple[int, dict[str, LoadCounts]]:
    """Fetch the clients and each client's sites where that has not been done today, or was refused, and load them.

    Each client is answered or refused once a run. One that only fails counts as refused in the end, if others are
    answered: its sites are asked for by the next run.

    :param run_scope: names the run, see :func:`locus_stem.pipelines.plan.scope`; its turns are noted in its staging.
    :return: clients that are left for a next turn; rows by table.
    :raises NothingAllowedError: the API refuses to list the clients, or the sites of any of them.
    :raises RetriableError: the list of every client that isn't refused has failed for :data:`BUDGET_SECONDS`.
    :raises UnansweredError: the list of clients has failed in the whole turn, or the API no longer answers.
    """
    last = last_fetches(lake, CLIENTS).get(ACCOUNT)
    counts: dict[str, LoadCounts] = {}
    if last is None or last.day < today:
        counts = _refresh_clients(lake, today, turn)
    listed = sorted(listed_clients(lake))
    noted = AskedClients.of(lake, run_scope)
    last_of = last_fetches(lake, SITES)
    known = {client: last_of.get(("client", client)) for client in listed}
    fresh = {client for client, fetch in known.items() if fetch and not fetch.skipped and fetch.day >= today}
    asking = _Asking(lake, today, turn, noted, counts)
    asking.queue.extend(noted.in_order(client for client in listed if client not in fresh))
    try:
        asking.ask()
        asking.give_up_on_those_that_fail(fresh)
    finally:
        asking.load()
    refused = noted.refused()
    if refused and len(refused) == len(listed):
        noted.forget()
        reason = next(iter(refused.values()))
        raise NothingAllowedError(
            f"The API refuses to list the sites of any of the {len(listed)} clients: {reason}"
        )
    if not asking.queue:
        noted.forget()
    return len(asking.queue), asking.counts


def _refresh_clients(lake: Lake, today: date, turn: Turn) -> dict[str, LoadCounts]:
    try:
        listed = _listed_by(StemEndpoints.get_clients.request(), turn)
    except RefusedError as error:
        raise NothingAllowedError(f"The API refuses to list the clients: {error}") from error
    return load_clients(lake, listed, today)


@dataclass(slots=True)
class _Asking:
    """One turn's asking for lists of sites.

    :param queue: clients that are left to ask.
    """

    lake: Lake
    today: date
    turn: Turn
    noted: AskedClients
    counts: dict[str, LoadCounts]
    queue: deque[str] = field(default_factory=deque)
    _found: dict[str, ObjectList] = field(default_factory=dict)
    _settled: list[str] = field(default_factory=list)
    _hopeless: dict[str, RetriableError] = field(default_factory=dict)

    def ask(self) -> None:
        """Ask client after client, until none is left or the turn is over.

        :raises RetriableError: the API refuses all requests, or asks for a long wait.
        """
        total = len(self.queue)
        while self.queue and not self.turn.over():
            client = self.queue.popleft()
            call = _sites_of(client)
            try:
                self._found[client] = _listed_by(call, self.turn, self.turn.set_aside).of_client(client)
                self._settle(client)
            except RefusedError as error:
                log.warning("client %s: its sites are refused: %s", client, error)
                self._settle(client, str(error))
            except RetriableError as error:
                self._fail(client, error)
            except UnansweredError:
                self._cut_off(client)
            self.turn.progress("lists of sites", len(self._settled), total)
            if sum(one.weight for one in self._found.values()) > MOST_HELD:
                self._load_found()

    def _settle(self, client: str, reason: str | None = None) -> None:
        self.noted.settle(client, reason)
        self._settled.append(client)

    def _fail(self, client: str, error: RetriableError) -> None:
        if is_of_all(error):
            self.queue.append(client)
            raise error
        log.warning("client %s: its sites are not to be had: %s", client, error)
        is_final = isinstance(error, OversizedAnswerError)
        if self.noted.fail(client) >= BUDGET_SECONDS or is_final:
            self._hopeless[client] = error
        else:
            self.queue.append(client)

    def _cut_off(self, client: str) -> None:
        """Put a client back that the turn's end has cut off."""
        self.queue.append(client)
        if self.turn.cut_off is not None and self.turn.cut_off[0].path == _sites_of(client).path:
            self.noted.fail(client)

    def give_up_on_those_that_fail(self, fresh: set[str]) -> None:
        """Settle the clients that have failed for long, if another one that was answered still is.

        :param fresh: clients that were answered today.
        :raises RetriableError: all that are left have failed for long, and no client was ever answered.
        :raises UnansweredError: they have, and no other one is answered any more either.
        """
        if not self._hopeless:
            return
        answered = {client for client, reason in self.noted.settled.items() if reason is None} | fresh
        works = bool(answered) and is_answered(self.turn.client, _sites_of(min(answered)))
        errors = failing_still(self.turn.client, map(_sites_of, self._hopeless)) if works else {}
        for client, first in self._hopeless.items():
            error = first if isinstance(first, OversizedAnswerError) else errors.get(_sites_of(client))
            if answered and error is not None:
                log.warning("client %s gets no usable answer: %s", client, error)
                self._settle(client, f"no usable answer: {error}")
            else:
                self.queue.append(client)
        if not works and self.noted.failing_for(self.queue) >= BUDGET_SECONDS:
            self.noted.forgive()
            last = next(iter(self._hopeless.values()))
            raise UnansweredError("lists of sites", self.turn.usage(), last) if answered else last

    def load(self) -> None:
        """Load what was listed, then note what was asked: what is noted and not loaded would be lost."""
        self._load_found()
        reasons = self.noted.settled
        fetched = [Fetch("client", client, self.today, reasons.get(client)) for client in self._settled]
        if fetched:
            self.counts = summed(self.counts, {COVERAGE: record_fetches(self.lake, SITES, fetched)})
        self.noted.write()

    def _load_found(self) -> None:
        self.counts = summed(self.counts, load_sites(self.lake, self._found, self.today))
        self._found = {}


def _sites_of(client: str) -> Call:
    return StemEndpoints.get_client_sites.request(client_id=client)


def _listed_by(call: Call, turn: Turn, patience: float | None = None) -> ObjectList:
    """Ask for all pages of a list.

    :param patience: seconds for which a page is asked for again where it fails; None: the client's budget.
    :raises RefusedError: the list is refused.
    :raises RetriableError: it still failed then, or doesn't end.
    :raises UnansweredError: the API kept failing until the turn's end.
    """
    paging, found, at_least = Paging(call), list[dict[str, Any]](), 0.0
    while paging.call is not None:
        try:
            page = turn.answer(paging.call, set_aside=patience, at_least=at_least)
        except StemNoResults:
            page = None
        found += paging.take(page)
        at_least = PAGE_SECONDS
    if not paging.is_whole:
        log.warning("%s: fewer are listed than its total tells: none counts as gone", call.path)
    return ObjectList(found, paging.is_whole, paging.weight)
