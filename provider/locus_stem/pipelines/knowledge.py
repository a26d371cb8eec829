"""What must be known before data is asked for: who there is (lists) and what each has (details).

The lake remembers on which day each list and each detail was fetched (`coverage`, granularity and field empty), so
that nothing is asked that is fresh, and a turn in the slot that ended early is resumed where it stopped.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import (
    ApiError,
    ConfigurationError,
    OversizedAnswerError,
    RefusedError,
    RetriableError,
)
from locus_stem.api.locus import LocusEndpoints
from locus_stem.pipelines.failing import failing_still, is_answered
from locus_stem.pipelines.slot import UnansweredError
from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.coverage import Fetch, last_fetches, record_fetches
from locus_stem.tables.objects import load_data_available, load_objects
from locus_stem.tables.schemas import snake_case

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

    from locus_stem.api.endpoint import Call, Endpoint
    from locus_stem.api.pipeline import Outcome
    from locus_stem.pipelines.asked import Asked
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: Answers, or seconds, between two commits: few commits, and little to ask again after a kill.
COMMIT_EVERY = 500
COMMIT_SECONDS = 10.0
#: Memory, in bytes, that answers may take before they are committed; those of 500 sites take 2 MB.
COMMIT_WEIGHT = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete list of a partner's objects and the table that holds it."""

    table: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Detail:
    """Something that is asked of one entity at a time and the table that holds it."""

    table: str
    entity_type: str
    endpoint: Endpoint

    def call(self, entity_id: int) -> Call:
        """Prepare the call for one entity."""
        return self.endpoint.request(**{f"{self.entity_type}_id": entity_id})


CLIENTS = Listing("locus_clients", LocusEndpoints.get_partner_clients)
SITES = Listing("locus_sites", LocusEndpoints.get_partner_sites)
COMPONENTS = Listing("locus_components", LocusEndpoints.get_partner_components)

INSTALL_INFO = Detail("locus_install_info", "site", LocusEndpoints.get_installinfo)
MODEL_SETTINGS = Detail("locus_model_settings", "site", LocusEndpoints.get_modelsettings)
DATA_AVAILABLE = "locus_data_available"
COVERAGE = "coverage"
AVAILABLE = {
    "site": Detail(DATA_AVAILABLE, "site", LocusEndpoints.get_site_dataavailable),
    "component": Detail(DATA_AVAILABLE, "component", LocusEndpoints.get_component_dataavailable),
    "partner": Detail(DATA_AVAILABLE, "partner", LocusEndpoints.get_site_bulk_dataavailable),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One detail of one entity that is to be fetched."""

    detail: Detail
    entity_id: int


@dataclass(slots=True)
class Refreshed:
    """What a refresh did: rows by table, what the API refused and why, and what is left for a next turn.

    :param counts: of `coverage` too, in which the fetches are remembered.
    """

    counts: dict[str, LoadCounts]
    refused: dict[tuple[str, int], str]
    left: list[Wanted] = field(default_factory=list)


def refresh_lists(
    lake: Lake,
    partner_id: int,
    today: date,
    listings: Iterable[Listing],
    turn: Turn,
    *,
    max_age_days: int,
    asked: Asked | None = None,
) -> dict[str, LoadCounts]:
    """Fetch the lists that the lake doesn't hold from the last `max_age_days` days (0: fetch all) and load them.

    :param asked: takes note of what has been loaded, which isn't fetched again.
    :return: rows by table, `coverage` included.
    :raises ConfigurationError: the API refuses the partner.
    :raises UnansweredError: the API kept failing until the turn's end.
    """
    counts: dict[str, LoadCounts] = {}
    for listing in listings:
        if asked is not None and listing.table in asked.lists:
            continue
        last = last_fetches(lake, listing.table).get(("partner", str(partner_id)))
        if last and max_age_days and last.day >= today - timedelta(days=max_age_days):
            continue
        try:
            objects = turn.answer(listing.endpoint.request(partner_id=partner_id)).payload
        except RefusedError as error:
            raise ConfigurationError(
                f"partner_id={partner_id} is refused; allowed is the id of a partner that the account may read. {error}"
            ) from error
        if not objects:
            log.warning(
                "%s: the API lists nothing; all that the table holds counts as removed", listing.table
            )
        counts[listing.table] = load_objects(lake, listing.table, objects, complete=True, today=today)
        fetched = record_fetches(lake, listing.table, [Fetch("partner", str(partner_id), today)])
        counts = summed(counts, {COVERAGE: fetched})
        if asked is not None:
            asked.note_list(listing.table)
        log.info("%s: %d listed, %s", listing.table, len(objects), counts[listing.table])
    return counts


def stale(
    lake: Lake, detail: Detail, entity_ids: Iterable[int], today: date, max_age_days: int
) -> list[Wanted]:
    """Choose the entities whose detail was last asked for `max_age_days` days ago or longer, or never."""
    last = last_fetches(lake, detail.table)
    newest = today - timedelta(days=max_age_days)
    asked = {entity_id: last.get((detail.entity_type, str(entity_id))) for entity_id in sorted(entity_ids)}
    return [
        Wanted(detail, entity_id) for entity_id, fetch in asked.items() if not fetch or fetch.day <= newest
    ]


def refresh_available(
    lake: Lake, entity_type: str, entity_ids: Collection[int], today: date, turn: Turn
) -> Refreshed:
    """Fetch what data entities have where that isn't known yet, and again where it was refused the last time.

    :return: `left` are those about which nothing is known yet; `refused` holds the last refusal of each other.
    """
    detail = AVAILABLE[entity_type]
    last = last_fetches(lake, detail.table)
    asked = {entity_id: last.get((entity_type, str(entity_id))) for entity_id in sorted(entity_ids)}
    new = [Wanted(detail, entity_id) for entity_id, fetch in asked.items() if fetch is None]
    again = {entity_id: fetch.skipped for entity_id, fetch in asked.items() if fetch and fetch.skipped}
    result = refresh_details(lake, [*new, *(Wanted(detail, entity_id) for entity_id in again)], today, turn)
    unasked = {item.entity_id for item in result.left}
    kept = {(entity_type, entity_id): str(again[entity_id]) for entity_id in again if entity_id in unasked}
    result.refused.update(kept)
    result.left = [item for item in result.left if item.entity_id not in again]
    return result


def refresh_details(
    lake: Lake, wanted: Sequence[Wanted], today: date, turn: Turn, asked: Asked | None = None
) -> Refreshed:
    """Fetch details one request after another and load them, until done or the turn is over.

    An entity that the API refuses is remembered as asked today and named in the result. One for which it only fails is
    asked again after the others; where it still fails when nothing else is left, and the API answers others, it is
    named too, unless it is answered when asked once more, and asked again by the next refresh.

    :param asked: takes note of what has been loaded.
    :raises UnansweredError: the whole turn has brought nothing, and nothing else is answered either.
    """
    by_call = {item.detail.call(item.entity_id): item for item in wanted}
    queue = deque(random.sample(list(by_call), len(by_call)))
    result = Refreshed({}, {})
    taken: list[tuple[Wanted, Any]] = []
    failing: dict[Call, ApiError] = {}
    done, begun, held = 0, False, 0
    committed = time.monotonic()
    try:
        while queue and not turn.over():
            begun = True
            for outcome in turn.answers(_until_over(queue, turn)):
                if (failure := _set_aside(outcome)) is not None:
                    failing[outcome.call] = failure
                    queue.append(outcome.call)
                    continue
                item = by_call.pop(outcome.call)
                if outcome.answer is None:
                    log.warning("%s %d: %s", item.detail.entity_type, item.entity_id, outcome.error)
                    result.refused[item.detail.entity_type, item.entity_id] = str(outcome.error)
                taken.append((item, outcome.answer.payload if outcome.answer else None))
                done += 1
                held += outcome.answer.weight if outcome.answer else 0
                turn.progress("details of sites and components", done, len(wanted))
                is_late = time.monotonic() - committed >= COMMIT_SECONDS
                if is_late or len(taken) >= COMMIT_EVERY or held >= COMMIT_WEIGHT:
                    _load(lake, taken, today, result, asked)
                    taken, held, committed = [], 0, time.monotonic()
            if turn.cut_off is not None and turn.cut_off[0] in by_call:
                failing[turn.cut_off[0]] = turn.cut_off[1]
    finally:
        _load(lake, taken, today, result, asked)
    if begun and not done:
        first = next(iter(by_call.values()))
        control = _known_call(lake, first.detail, failing)
        if not failing or control is None or not is_answered(turn.client, control):
            raise UnansweredError(first.detail.call(first.entity_id).path, turn.usage(), turn.last_error)
        for call, error in failing_still(turn.client, failing).items():
            item = by_call.pop(call)
            log.warning("%s %d gets no usable answer: %s", item.detail.entity_type, item.entity_id, error)
            result.refused[item.detail.entity_type, item.entity_id] = f"no usable answer: {error}"
    result.left = list(by_call.values())
    return result


def _set_aside(outcome: Outcome) -> RetriableError | None:
    error = outcome.error
    is_final = isinstance(error, OversizedAnswerError)
    return error if isinstance(error, RetriableError) and not is_final else None


def _known_call(lake: Lake, detail: Detail, failing: Container[Call]) -> Call | None:
    """Give a call of this kind that has been answered, rather none of those that fail; None where there is none."""
    answered = [
        detail.call(int(entity_id))
        for (entity_type, entity_id), fetch in last_fetches(lake, detail.table).items()
        if entity_type == detail.entity_type and not fetch.skipped
    ]
    return next((call for call in answered if call not in failing), next(iter(answered), None))


def _until_over(queue: deque[Call], turn: Turn) -> Iterator[Call]:
    while queue and not turn.over():
        yield queue.popleft()


def _of_site(site_id: int, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Give a detail as the site's that was asked for, whichever the answer names."""
    own = {name: value for name, value in payload.items() if snake_case(name) != "site_id"}
    if len(own) < len(payload) and all(str(payload[name]) != str(site_id) for name in payload.keys() - own):
        log.warning("site %d: the answer names another site", site_id)
    return {**own, "siteId": site_id}


def _load(
    lake: Lake,
    taken: Sequence[tuple[Wanted, Any]],
    today: date,
    result: Refreshed,
    asked: Asked | None,
) -> None:
    for table in sorted({item.detail.table for item, _ in taken}):
        mine = [(item, payload) for item, payload in taken if item.detail.table == table]
        held = [(item, payload) for item, payload in mine if payload is not None]
        if table == DATA_AVAILABLE:
            counts = load_data_available(
                lake, {(item.detail.entity_type, item.entity_id): payload for item, payload in held}
            )
        else:
            objects = [_of_site(item.entity_id, payload) for item, payload in held]
            counts = load_objects(lake, table, objects, complete=False, today=today)
        fetched = record_fetches(
            lake,
            table,
            [
                Fetch(
                    item.detail.entity_type,
                    str(item.entity_id),
                    today,
                    result.refused.get((item.detail.entity_type, item.entity_id))
                    if payload is None
                    else None,
                )
                for item, payload in mine
            ],
        )
        result.counts = summed(result.counts, {table: counts, COVERAGE: fetched})
    if asked is not None and taken:
        asked.note_details(item for item, _ in taken)
