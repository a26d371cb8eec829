"""The monthly bulk pipeline before and after its requests: plan them, load what came."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import BULK_GRANULARITY
from locus_stem.pipelines.batch_state import BatchState, request_key
from locus_stem.pipelines.knowledge import (
    AVAILABLE,
    CLIENTS,
    DATA_AVAILABLE,
    SITES,
    refresh_available,
    refresh_details,
    refresh_lists,
    stale,
)
from locus_stem.pipelines.load import (
    Loaded,
    answered,
    overtaken_notes,
    refusals,
    refused_when,
    span_of,
    windows,
)
from locus_stem.pipelines.overlaps import asked_when, parts_of
from locus_stem.pipelines.plan import (
    LISTS_MAX_AGE_DAYS,
    NothingAllowedError,
    Planned,
    add_usage,
    seconds_a_request,
    write_plan,
)
from locus_stem.planning.bulk import BulkParams, chosen_fields, plan_bulk
from locus_stem.planning.params import ParamError
from locus_stem.tables.asked import Asked, unstorable
from locus_stem.tables.bulk import TABLE, load_bulk, record_bulk_coverage, sites_answered
from locus_stem.tables.counts import summed
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locus_stem.pipelines.slot import Turn
    from locus_stem.planning.request import DataRequest
    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.loads import Due
    from locus_stem.tables.staging import Staging

log = logging.getLogger(__name__)

LEVEL = "site"
#: The task whose requests tell how long one takes; other than the backfill's, whose answers are of another size.
EXTRACT = "extract_bulk"
WITHOUT_DATA = "bulk data has no data object of it in these months (a site without components has none)"


def plan_monthly_bulk(
    lake: Lake,
    raw_params: Mapping[str, Any],
    partner_id: int,
    run_scope: str,
    day: date,
    turn: Turn,
    try_number: int = 1,
) -> Planned:
    """Plan one run and write its batches.

    Asked of the API is only what the lake doesn't have fresh: sites, clients, and what bulk data offers.

    :param day: the UTC date as of which a month is closed.
    :return: its staging is None where the turn ended before all was known: then it is called again.
    :raises locus_stem.planning.params.ParamError: a param is wrong; no data request has been made.
    :raises locus_stem.pipelines.plan.NothingAllowedError: the API refuses to say what bulk data there is.
    """
    params = BulkParams.from_raw(raw_params, day=day)
    today = datetime.now(UTC).date()
    counts = refresh_lists(lake, partner_id, today, (SITES, CLIENTS), turn, max_age_days=LISTS_MAX_AGE_DAYS)
    wanted = stale(lake, AVAILABLE["partner"], [partner_id], today, LISTS_MAX_AGE_DAYS)
    if wanted:
        refreshed = refresh_details(lake, wanted, today, turn)
    else:  # again if it was refused the last time
        refreshed = refresh_available(lake, "partner", [partner_id], today, turn)
    counts = summed(counts, refreshed.counts)
    usage = add_usage(lake, run_scope, turn.usage())
    if refreshed.left:
        log.info("The slot is given back to others; what bulk data offers is left to ask for")
        return Planned(None, left=len(refreshed.left), counts=counts)
    if refreshed.refused:
        raise NothingAllowedError(
            "The API refuses to say what bulk data the partner's sites have: "
            f"{next(iter(refreshed.refused.values()))}"
        )
    fields, left_out = _fields(lake, params, partner_id)
    plan = plan_bulk(
        params,
        sites=lake.read("locus_sites").to_pylist(),
        clients=lake.read("locus_clients").to_pylist(),
        fields=fields,
        now=datetime.now(UTC),
    )
    for note in (
        *plan.notes,
        *(f"field {name!r} isn't loaded: {reason}" for name, reason in left_out.items()),
    ):
        log.warning("%s", note)
    contents = {
        "table": TABLE,
        "level": LEVEL,
        "granularity": BULK_GRANULARITY,
        "start": f"{params.start:%Y-%m}",
        "end": f"{params.end:%Y-%m}",
        "plan_only": False,
        "entities": sum(map(len, plan.sites.values())),
        "seconds_a_request": seconds_a_request(lake, usage, EXTRACT),
        "chosen_with": None,
        "skipped": {},
        "refused": {},
        "left_out": left_out,
        "try_number": try_number,
        "usage": usage.to_json(),
        "sites": plan.sites,
    }
    return replace(write_plan(lake, run_scope, plan.requests, contents), counts=counts)


def _fields(lake: Lake, params: BulkParams, partner_id: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Choose the fields; leave out those that the table can't hold.

    :raises ParamError: a field that was asked for by name isn't there, or can't be held.
    """
    rows = lake.read(
        DATA_AVAILABLE, filters=[("entity_type", "=", "partner"), ("entity_id", "=", partner_id)]
    ).to_pylist()
    chosen = chosen_fields(rows, params.fields)
    stored = lake.open(TABLE)
    left_out = unstorable(chosen, [column.name for column in stored.schema().fields] if stored else [])
    for name in params.fields or ():
        if name in left_out:
            raise ParamError("fields", name, f"can't be loaded: {left_out[name]}")
    return tuple(name for name in chosen if name not in left_out), left_out


def load_monthly_bulk(lake: Lake, staging: Staging) -> Loaded:
    """Load the staged months of one run, record their coverage, and reconcile them with the site list.

    :raises locus_stem.pipelines.load.IncompleteBatchError: a batch lacks answers; clear its extract task.
    """
    plan = staging.read_json("plan.json")
    requests, manifests = answered(staging, plan["batches"])
    outcome = BatchState.from_manifests(manifests)
    refused, bad_fields = refusals(requests, outcome)
    sites: dict[str, list[int]] = plan["sites"]
    items = [item for manifest in manifests for item in manifest["answered"]]
    unfit = {
        int(site): (reason, asked_when(item))
        for item in items
        for site, reason in item.get("unfit", {}).items()
    }
    asked = [
        Asked(site_id, site_id, item["zone"], fields, start, end, asked_when(item))
        for item, fields, start, end in windows(manifests, refused)
        for site_id in sites[item["zone"]]
        if site_id not in unfit
    ]
    parts = parts_of(staging, manifests)
    log.info("Loading %d part(s) of %d requests into %s", len(parts), len(requests), TABLE)
    skipped, records = _skips(requests, sites, refused, outcome, unfit)
    having = sites_answered(lake, parts, asked)

    def load(due: Due) -> tuple[LoadCounts, LoadCounts]:
        counts = load_bulk(lake, parts, due.asked)
        return counts, record_bulk_coverage(lake, parts, due, having, WITHOUT_DATA)

    (counts, coverage), overtaken = load_in_order(
        lake, TABLE, BULK_GRANULARITY, staging.plan_id, asked, records, load
    )
    without = {one.entity_id for one in asked} - having
    return Loaded(
        counts=counts,
        coverage=coverage,
        span=span_of(asked),
        entities=len({site_id for request in requests for site_id in sites[request.zone]}),
        skipped={str(site_id): reason for site_id, reason in sorted(skipped.items())},
        without_data=dict.fromkeys(map(str, sorted(without)), WITHOUT_DATA),
        notes=[
            *_refused_fields(requests, bad_fields),
            *_strangers(items),
            *overtaken_notes(overtaken, len(asked)),
        ],
    )


def _skips(
    requests: Sequence[DataRequest],
    sites: Mapping[str, Sequence[int]],
    refused: Mapping[int, str],
    outcome: BatchState,
    unfit: Mapping[int, tuple[str, datetime]],
) -> tuple[dict[int, str], list[Skip]]:
    """Tell the sites of which nothing is loaded, and what `coverage` says of them and of refused fields."""
    skipped: dict[int, str] = {}
    records = []
    for request in requests:
        kept, fields = request.slice, outcome.refused_fields.get(request_key(request), {})
        for site_id in sites[request.zone]:
            unread, unread_at = unfit.get(site_id, (None, None))
            whole = refused.get(request.entity_id) or unread
            if whole:
                skipped[site_id] = whole
            reasons = dict.fromkeys(request.group.fields, whole) if whole else fields
            records += [
                Skip(
                    site_id, name, str(reason), request.zone, kept.start, kept.end,
                    unread_at or refused_when(outcome, request, name),
                )
                for name, reason in reasons.items()
            ]  # fmt: skip
    return skipped, records


def _refused_fields(
    requests: Sequence[DataRequest], bad_fields: Mapping[int, Mapping[str, str]]
) -> list[str]:
    zones = {request.entity_id: request.zone for request in requests}
    return [
        f"  sites in {zones[number]}, field {name}: {reason}"
        for number, reasons in bad_fields.items()
        for name, reason in reasons.items()
    ]


def _strangers(items: Sequence[Mapping[str, Any]]) -> list[str]:
    ids = sorted({one for item in items for one in item.get("strangers", ())})
    if not ids:
        return []
    shown = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    return [f"  answered, but not in the site list, so not loaded: {shown}"]
