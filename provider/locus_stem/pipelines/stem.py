"""The Stem pipeline before and after its requests: plan them, load what came."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.api.stem import STREAM_TYPES
from locus_stem.pipelines.batch_state import BatchState, request_key
from locus_stem.pipelines.load import (
    Loaded,
    answered,
    overtaken_notes,
    refused_when,
    span_of,
    windows,
)
from locus_stem.pipelines.overlaps import asked_when, parts_of
from locus_stem.pipelines.plan import (
    NothingAllowedError,
    Planned,
    add_usage,
    reach_back,
    seconds_a_request,
    write_plan,
)
from locus_stem.pipelines.stem_extract import series_number
from locus_stem.pipelines.stem_lists import listed_sites
from locus_stem.pipelines.stem_refresh import refresh_sites
from locus_stem.planning.stem import SITE, ZONE, StreamParams, plan_streams
from locus_stem.tables.coverage import record_coverage
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.skips import Skip
from locus_stem.tables.streams import TABLE, load_streams, series_asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locus_stem.pipelines.slot import Turn
    from locus_stem.planning.request import DataRequest
    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.loads import Due
    from locus_stem.tables.staging import Staging

log = logging.getLogger(__name__)

#: The task whose requests tell how long one takes: Locus's answers, in the same lake, are of another size.
EXTRACT = "extract_streams"


def plan_stem_backfill(
    lake: Lake,
    raw_params: Mapping[str, Any],
    run_scope: str,
    run_day: date,
    turn: Turn,
    *,
    scheduled: bool,
    slots: int = 1,
    try_number: int = 1,
) -> Planned:
    """Plan one run and write its batches.

    Asked of the API are only the lists of clients and sites, and those at most once a day.

    :param run_day: the UTC date of the run's data interval.
    :param scheduled: a scheduled run reaches back to the last day that `coverage` shows, at most 31 days.
    :param slots: of the pool as it is made.
    :return: its staging is None where the turn ended before all was known: then it is called again.
    :raises locus_stem.planning.params.ParamError: a param is wrong; no data request has been made.
    :raises NothingAllowedError: the API refuses to list any of the sites.
    """

    def read(last_covered: date | None) -> StreamParams:
        return StreamParams.from_raw(raw_params, day=run_day, last_covered=last_covered, scheduled=scheduled)

    params = read(None)
    left, counts = refresh_sites(lake, datetime.now(UTC).date(), turn, run_scope)
    usage = add_usage(lake, run_scope, turn.usage())
    if left:
        log.info("The slot is given back to others; the sites of %d clients are left to ask for", left)
        return Planned(None, left=left, counts=counts)
    listed = listed_sites(lake)
    granularity = str(params.resolution)
    plan = plan_streams(
        params,
        sites=listed.rows,
        unlisted=listed.unlisted,
        refused=listed.refused,
        now=datetime.now(UTC),
        start_of=reach_back(lake, TABLE, granularity, run_day, lambda last: read(last).start)
        if scheduled
        else None,
    )
    refused = dict(listed.refused) if params.site_ids is None else plan.refused
    if refused and not plan.starts:
        raise NothingAllowedError(
            f"The API refuses to list any of the {len(refused)} chosen sites: {next(iter(refused.values()))}"
        )
    for note in plan.notes:
        log.warning("%s", note)
    contents = {
        "table": TABLE,
        "level": SITE,
        "granularity": granularity,
        "start": params.start.isoformat(),
        "end": params.end.isoformat(),
        "plan_only": params.plan_only,
        "entities": len({request.entity_id for request in plan.requests}),
        "seconds_a_request": seconds_a_request(lake, usage, EXTRACT),
        "chosen_with": "site_ids",
        "skipped": plan.skipped,
        "refused": refused,
        "left_out": {},
        "try_number": try_number,
        "usage": usage.to_json(),
        "starts": {
            site: {name: at.isoformat() for name, at in starts.items()}
            for site, starts in plan.starts.items()
        },
    }
    return replace(write_plan(lake, run_scope, plan.requests, contents, slots), counts=counts)


def load_stem_backfill(lake: Lake, staging: Staging) -> Loaded:
    """Load the staged streams of one run and record their coverage.

    A stream that the API says is unavailable at a site is known from then on, not a refusal.

    :raises locus_stem.pipelines.load.IncompleteBatchError: a batch lacks answers; clear its extract task.
    """
    plan = staging.read_json("plan.json")
    requests, manifests = answered(staging, plan["batches"])
    outcome = BatchState.from_manifests(manifests)
    sites = {request.entity_id: request.name for request in requests}
    begins = _Begins(plan["starts"])
    names = {
        series_number(place, name): (site, name) for place, site in sites.items() for name in STREAM_TYPES
    }
    asked = [
        series_asked(series_number(item["entity"], name), begun, end, asked_when(item))
        for item, fields, start, end in windows(manifests, outcome.refused)
        for name in fields
        if (begun := begins.within(sites[item["entity"]], name, start)) < end
    ]
    parts = parts_of(staging, manifests)
    log.info("Loading %d part(s) of %d requests into %s", len(parts), len(requests), TABLE)
    granularity = plan["granularity"]

    def load(due: Due) -> tuple[LoadCounts, LoadCounts]:
        counts = load_streams(lake, int(granularity), parts, due.asked, names)
        return counts, record_coverage(lake, TABLE, SITE, granularity, parts, due.covered, names, due.skips)

    records = _skips(requests, outcome, begins)
    (counts, coverage), overtaken = load_in_order(
        lake, TABLE, granularity, staging.plan_id, asked, records, load, names
    )
    unavailable: dict[str, dict[str, str]] = {}
    for (place, _, _), reasons in outcome.refused_fields.items():
        if place not in outcome.refused:
            unavailable.setdefault(sites[place], {}).update(reasons)
    items = [item for manifest in manifests for item in manifest["answered"]]
    return Loaded(
        counts=counts,
        coverage=coverage,
        span=span_of(asked),
        entities=len(sites),
        skipped={sites[place]: reason for place, reason in sorted(outcome.refused.items())},
        skipped_fields=dict(sorted(unavailable.items())),
        notes=[*_off_grid(items, sites), *overtaken_notes(overtaken, len(asked))],
    )


class _Begins:
    """Since when sites have their streams."""

    def __init__(self, starts: Mapping[str, Mapping[str, str]]) -> None:
        self._starts = {
            (site, name): datetime.fromisoformat(at)
            for site, mine in starts.items()
            for name, at in mine.items()
        }

    def within(self, site: str, stream_type: str, start: datetime) -> datetime:
        """Return from where on a window that begins here can have rows."""
        return max(start, self._starts.get((site, stream_type), start))


def _skips(requests: Sequence[DataRequest], outcome: BatchState, begins: _Begins) -> list[Skip]:
    records = []
    for request in requests:
        reasons = outcome.refused_fields.get(request_key(request), {})
        for name in request.group.fields:
            reason = outcome.refused.get(request.entity_id) or reasons.get(name)
            begun = begins.within(request.name, name, request.slice.start)
            if reason and begun < request.slice.end:
                at = refused_when(outcome, request, name)
                records.append(Skip(request.name, name, reason, ZONE, begun, request.slice.end, at))
    return records


def _off_grid(items: Sequence[Mapping[str, Any]], sites: Mapping[int, str]) -> list[str]:
    found: dict[str, int] = {}
    for item in items:
        if item.get("off_grid"):
            site = sites[item["entity"]]
            found[site] = found.get(site, 0) + item["off_grid"]
    return [
        f"  site {site}: {number} row(s) that end at no multiple of the resolution aren't loaded"
        for site, number in sorted(found.items())
    ]
