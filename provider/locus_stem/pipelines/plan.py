"""Plan a backfill: from the params and what the lake knows to batches of the fewest requests, written to staging."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from locus_stem.pipelines.knowledge import (
    CLIENTS,
    COMPONENTS,
    DATA_AVAILABLE,
    SITES,
    refresh_available,
    refresh_lists,
)
from locus_stem.pipelines.slot import Usage
from locus_stem.planning.backfill import chosen_entities, plan_backfill
from locus_stem.planning.batches import batches
from locus_stem.planning.intervals import expected_on
from locus_stem.planning.params import LONGEST_REACH_BACK, BackfillParams, ParamError
from locus_stem.tables.asked import unstorable
from locus_stem.tables.counts import LoadCounts, summed
from locus_stem.tables.covered import last_days, short_dates
from locus_stem.tables.staging import Staging, StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from locus_stem.pipelines.slot import Turn
    from locus_stem.planning.backfill import BackfillPlan, DataRequest
    from locus_stem.tables.lake import Lake

log = logging.getLogger(__name__)

#: The lists are asked for again when the inventory hasn't fetched them since the day before.
LISTS_MAX_AGE_DAYS = 1
#: Reckoned for a request where neither earlier runs nor this one have measured any. Low on purpose: a batch that turns
#: out longer than a turn in the slot is cut there, while one that is too short leaves the slot idle.
SECONDS_A_REQUEST = 0.1
SHORTEST_REQUEST = 0.001
#: So many of the latest extract tasks tell how long a request takes.
LATEST = 20
AVAILABLE_COLUMNS = ("entity_type", "entity_id", "short_name", "source", "granularities", "field_parameters")
TABLES = {"site": "locus_site_data", "component": "locus_component_data"}


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning a run gave.

    :param counts: rows by table of what was fetched to plan.
    """

    staging: str | None
    batches: list[str] = field(default_factory=list)
    requests: int = 0
    left: int = 0
    counts: dict[str, LoadCounts] = field(default_factory=dict)


class NothingAllowedError(RuntimeError):
    """The account may read none of the chosen entities."""


def scope(dag_id: str, run_id: str) -> str:
    """Name a run's folder in staging; ids of runs hold characters that folders can't."""
    return f"{dag_id}.{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


def plan_daily_backfill(
    lake: Lake,
    raw_params: Mapping[str, Any],
    partner_id: int,
    run_scope: str,
    run_day: date,
    turn: Turn,
    *,
    scheduled: bool,
    try_number: int = 1,
) -> Planned:
    """Plan one run of the backfill and write its batches.

    Asked of the API is only what the lake doesn't have fresh: the lists, and what data new entities have.

    :param run_day: the UTC date of the run's data interval.
    :param try_number: the task's, for the table `runs`.
    :param scheduled: a scheduled run reaches back to the last day that `coverage` shows, at most 31 days.
    :return: `left` is not 0 where the turn ended before all was known: then it is called again.
    :raises locus_stem.planning.params.ParamError: a param is wrong; no data request has been made.
    """
    params = BackfillParams.from_raw(raw_params, day=run_day, last_covered=None, scheduled=scheduled)
    table = TABLES[params.level]
    today = datetime.now(UTC).date()
    listings = (SITES, CLIENTS) if params.level == "site" else (SITES, CLIENTS, COMPONENTS)
    counts = refresh_lists(lake, partner_id, today, listings, turn, max_age_days=LISTS_MAX_AGE_DAYS)
    sites = lake.read("locus_sites").to_pylist()
    components = lake.read("locus_components").to_pylist() if params.level == "component" else []

    chosen = [entity.entity_id for entity in chosen_entities(params, sites, components).entities]
    refreshed = refresh_available(lake, params.level, chosen, today, turn)
    counts = summed(counts, refreshed.counts)
    if refreshed.left:
        log.info(
            "The slot is given back to others; what %d entities have is left to ask for", len(refreshed.left)
        )
        add_usage(lake, run_scope, turn.usage())
        return Planned(None, left=len(refreshed.left), counts=counts)
    if chosen and len(refreshed.refused) == len(chosen):
        reason = next(iter(refreshed.refused.values()))
        raise NothingAllowedError(
            f"The API refuses to say what data any of the {len(chosen)} chosen {params.level}s has: {reason}"
        )
    available, left_out = _available(lake, params, table)

    def start_after(last: date) -> date:
        return BackfillParams.from_raw(raw_params, day=run_day, last_covered=last, scheduled=True).start

    plan = plan_backfill(
        params,
        sites=sites,
        components=components,
        clients=lake.read("locus_clients").to_pylist(),
        available=available,
        now=datetime.now(UTC),
        start_of=reach_back(lake, table, params.granularity, run_day, start_after) if scheduled else None,
    )
    for note in (
        *plan.notes,
        *(f"field {name!r} isn't loaded: {reason}" for name, reason in left_out.items()),
    ):
        log.warning("%s", note)
    refused = {str(entity): reason for (_, entity), reason in refreshed.refused.items()}
    usage = add_usage(lake, run_scope, turn.usage())
    planned = _write(
        lake, plan, params, run_scope, {"refused": refused, "left_out": left_out}, usage, try_number
    )
    return replace(planned, counts=counts)


def reach_back(
    lake: Lake, table: str, granularity: str, run_day: date, start_after: Callable[[date], date]
) -> Callable[[int | str, Sequence[str], str], date]:
    """Tell where each entity begins: at the last day before a hole in any of its fields, so that none is left.

    A date of which only a part was asked, as by a run by hand at noon, is a hole too, unless it is the last.
    A field that has no day yet, as of a new entity, begins with the run's range.

    :param start_after: from the last covered day to the range's first day.
    """
    every_date = granularity not in {"monthly", "yearly"}
    since = run_day - LONGEST_REACH_BACK
    days = last_days(lake, table, granularity, since if every_date else None)
    whole = cache(partial(expected_on, granularity=granularity))
    short = short_dates(lake, table, granularity, since, whole(run_day, "UTC")) if every_date else {}
    first_day = cache(start_after)

    def start_of(entity_id: int | str, fields: Sequence[str], zone: str) -> date:
        entity, known = str(entity_id), days.get(str(entity_id), {})
        reached = [known[name] for name in fields if name in known]
        reached += [
            day
            for name in fields
            for day, expected in short.get((entity, name), {}).items()
            if day < known.get(name, day) and expected < whole(day, zone)
        ]
        return first_day(min(reached, default=run_day))

    return start_of


def _available(lake: Lake, params: BackfillParams, table: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Read what data entities have; leave out the fields that no table can hold.

    :raises ParamError: such a field was asked for by name.
    """
    rows = lake.read(DATA_AVAILABLE, AVAILABLE_COLUMNS, [("entity_type", "=", params.level)]).to_pylist()
    counts = Counter(row["short_name"] for row in rows)
    stored = lake.open(table)
    columns = [column.name for column in stored.schema().fields] if stored else []
    left_out = unstorable(
        (name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))), columns
    )
    for name in params.fields or ():
        if name in left_out:
            raise ParamError("fields", name, f"can't be loaded: {left_out[name]}")
    return [row for row in rows if row["short_name"] not in left_out], left_out


def add_usage(lake: Lake, run_scope: str, usage: Usage) -> Usage:
    """Add a turn's use of the API to what the run's earlier turns of planning used."""
    staging = Staging.of_turns(lake, run_scope)
    with suppress(StagingError):  # there is none yet
        usage = Usage.from_json(staging.read_json("usage.json")) + usage
    staging.write_json("usage.json", usage.to_json())
    return usage


def seconds_a_request(lake: Lake, usage: Usage, task_id: str = "extract") -> float:
    """Expect of a data request what the latest extract tasks measured, else what this run has measured so far."""
    extracts = lake.read(
        "runs", ["ended", "requests", "api_seconds"], [("task_id", "=", task_id)]
    ).to_pylist()
    latest = sorted((run for run in extracts if run["requests"]), key=lambda run: run["ended"])[-LATEST:]
    requests = sum(run["requests"] for run in latest) or usage.requests
    seconds = sum(run["api_seconds"] for run in latest) if latest else usage.api_seconds
    return max(seconds / requests, SHORTEST_REQUEST) if requests else SECONDS_A_REQUEST


@contextmanager
def usage_kept(lake: Lake, run_scope: str, turn: Turn) -> Iterator[None]:
    """Keep what a try of planning has used where it fails: it counts with the try that succeeds."""
    try:
        yield
    except Exception:
        add_usage(lake, run_scope, turn.usage())
        raise


def _write(
    lake: Lake,
    plan: BackfillPlan,
    params: BackfillParams,
    run_scope: str,
    excluded: Mapping[str, Mapping[str, str]],
    usage: Usage,
    try_number: int,
) -> Planned:
    contents = {
        "table": TABLES[params.level],
        "level": params.level,
        "granularity": params.granularity,
        "start": params.start.isoformat(),
        "end": params.end.isoformat(),
        "plan_only": params.plan_only,
        "entities": len({request.entity_id for request in plan.requests}),
        "seconds_a_request": seconds_a_request(lake, usage),
        "chosen_with": "site_ids or component_ids",
        "skipped": {str(item.entity.entity_id): item.reason for item in plan.skipped},
        **excluded,
        "try_number": try_number,
        "usage": usage.to_json(),
    }
    return write_plan(lake, run_scope, plan.requests, contents)


def write_plan(
    lake: Lake,
    run_scope: str,
    requests: Sequence[DataRequest],
    contents: Mapping[str, Any],
    slots: int = 1,
) -> Planned:
    """Write a plan to staging: its batches, unless it is `plan_only`, and what the tasks after it and the report need.

    :param contents: table, level, granularity, start, end, plan_only, entities, seconds_a_request, chosen_with,
        skipped, refused, left_out, usage; others as a pipeline needs them.
    :param slots: of the pool as it is made.
    """
    measured = contents["seconds_a_request"]
    staging = Staging(lake, f"{run_scope}.{uuid.uuid4().hex[:12]}")
    split = [] if contents["plan_only"] else batches(requests, measured, slots)
    names = [f"batch-{number:04d}" for number in range(len(split))]
    for name, mine in zip(names, split, strict=True):
        staging.write_json(f"{name}.json", [request.to_json() for request in mine])
    staging.write_json("plan.json", {**contents, "requests": len(requests), "batches": len(split)})
    log.info(
        "%s %s from %s to %s (exclusive): %d requests for %d entities in %d batches, about %.0f s of API time",
        contents["level"], contents["granularity"], contents["start"], contents["end"], len(requests),
        contents["entities"], len(split), len(requests) * measured,
    )  # fmt: skip
    return Planned(staging.uri, [f"{staging.uri}/{name}" for name in names], len(requests))
