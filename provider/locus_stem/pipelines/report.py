"""The end of a run: what it asked, what it loaded, whom it skipped, written for people and into `runs`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.pipelines.knowledge import COVERAGE
from locus_stem.pipelines.slot import Usage
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.runs import add_run, record_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from locus_stem.pipelines.alert_sync import Synced
    from locus_stem.pipelines.knowledge import Refreshed
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.staging import Staging

#: A run in which the API refuses more than this share of the entities fails, after loading the rest.
REFUSED_SHARE = 0.10
#: So many skipped entities are named one by one in the log.
NAMED = 50


@dataclass(frozen=True, slots=True)
class Report:
    """A run's report: its text, whether its staging has served, and why the run must fail, if it must.

    :param counts: rows of the table `runs`.
    """

    text: str
    done: bool
    failure: str | None
    counts: LoadCounts


def report_backfill(
    lake: Lake, staging: Staging, loaded: Mapping[str, Any] | None, run: Mapping[str, Any]
) -> Report:
    """Sum up one run of a backfill, write its tasks into `runs`, and say whether it must fail.

    :param loaded: what the load task gave; None if it didn't run.
    :param run: dag_id and run_id.
    """
    plan = staging.read_json("plan.json")
    tasks: dict[tuple[Any, ...], Usage] = {("plan", -1, plan["try_number"]): Usage.from_json(plan["usage"])}
    extracting = Usage()
    for number in range(plan["batches"]):
        for manifest in staging.batch(number).manifests():
            owner, usage = manifest["owner"], Usage.from_json(manifest["usage"])
            key = (owner["task_id"], owner["map_index"], owner["try_number"])
            tasks[key] = tasks.get(key, Usage()) + usage
            extracting += usage
    counts = record_runs(lake, [_row(run, key, usage) for key, usage in tasks.items()])
    if loaded:
        counts += record_runs(lake, [_row(run, ("load", -1, loaded.get("try_number", 1)), Usage(), loaded)])
    text = _text(plan, extracting, sum(tasks.values(), Usage()), loaded)
    return Report(text, loaded is not None or not plan["batches"], _failure(plan, loaded), counts)


def record_turn(
    lake: Lake, owner: Mapping[str, Any], usage: Usage, refreshed: Refreshed
) -> tuple[LoadCounts, list[str]]:
    """Write one turn of the inventory into `runs`, on top of the try's earlier turns.

    :return: rows of `runs`, and the report's lines.
    """
    key = (owner["task_id"], owner["map_index"], owner["try_number"])
    run = {"dag_id": owner["dag_id"], "run_id": owner["run_id"]}
    brought = [counts for table, counts in refreshed.counts.items() if table != COVERAGE]
    counts = asdict(sum(brought, LoadCounts()))
    row = _row(run, key, usage, {"counts": counts, "skipped": refreshed.refused})
    recorded = add_run(lake, row)
    lines = [
        f"requests: {usage.requests} ({_statuses(usage)}), retries: {usage.retries}, "
        f"429s: {usage.by_status.get('429', 0)}",
        f"API time: {usage.api_seconds:.1f} s of {usage.wall_seconds:.1f} s",
        *(f"{table}: {counts}" for table, counts in refreshed.counts.items()),
        f"refused: {len(refreshed.refused)}",
        *(
            f"  {kind} {entity}: {reason}"
            for (kind, entity), reason in list(refreshed.refused.items())[:NAMED]
        ),
    ]
    if refreshed.left:
        lines.append(f"{len(refreshed.left)} details are left; the slot is given back to others in between")
    return recorded, lines


def record_sync(
    lake: Lake, owner: Mapping[str, Any], usage: Usage, synced: Synced
) -> tuple[LoadCounts, list[str]]:
    """Write one turn of the alert sync into `runs`, on top of the try's earlier turns.

    :return: rows of `runs`, and the report's lines.
    """
    key = (owner["task_id"], owner["map_index"], owner["try_number"])
    run = {"dag_id": owner["dag_id"], "run_id": owner["run_id"]}
    recorded = add_run(lake, _row(run, key, usage, {"counts": asdict(synced.alerts), "skipped": {}}))
    return recorded, [
        f"requests: {usage.requests} ({_statuses(usage)}), retries: {usage.retries}, "
        f"429s: {usage.by_status.get('429', 0)}",
        f"API time: {usage.api_seconds:.1f} s of {usage.wall_seconds:.1f} s",
        f"locus_alert_history: {synced.history}",
        f"locus_alerts: {synced.alerts}",
        f"objects that can't be read: {synced.unreadable}",
        f"cursor: {synced.cursor.isoformat() if synced.cursor else 'none yet'}",
    ]


@contextmanager
def failure_recorded(lake: Lake, owner: Mapping[str, Any], turn: Turn) -> Iterator[None]:
    """Write what a turn has used into `runs` where it fails; one that doesn't is written with what it did."""
    try:
        yield
    except Exception:
        key = (owner["task_id"], owner["map_index"], owner["try_number"])
        run = {"dag_id": owner["dag_id"], "run_id": owner["run_id"]}
        add_run(lake, _row(run, key, turn.usage()))
        raise


def _row(
    run: Mapping[str, Any], key: tuple[Any, ...], usage: Usage, loaded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    counts = loaded["counts"] if loaded else {}
    now = datetime.now(UTC)
    return {
        **run,
        "task_id": key[0],
        "map_index": key[1],
        "try_number": key[2],
        "started": usage.started or now,
        "ended": usage.ended or now,
        "requests": usage.requests,
        "answered_by_status": usage.by_status,
        "retries": usage.retries,
        "api_seconds": usage.api_seconds,
        **{f"rows_{kind}": counts.get(kind, 0) for kind in ("new", "changed", "unchanged", "withdrawn")},
        "entities_skipped": len({**loaded["skipped"], **loaded.get("without_data", {})}) if loaded else 0,
    }


def _text(plan: Mapping[str, Any], extracting: Usage, total: Usage, loaded: Mapping[str, Any] | None) -> str:
    lines = [
        f"{plan['table']}: {plan['level']} {plan['granularity']} from {plan['start']} to {plan['end']} (exclusive)",
        f"planned: {plan['requests']} requests for {plan['entities']} entities in {plan['batches']} batches, "
        f"about {plan['requests'] * plan['seconds_a_request']:.0f} s of API time",
    ]
    wall = extracting.wall_seconds
    api_time = f"API time: {total.api_seconds:.1f} s"
    if wall:
        share = extracting.api_seconds / wall
        api_time += f", of it {extracting.api_seconds:.1f} s in {wall:.1f} s of extracting ({share:.0%})"
    lines += [
        f"requests: {total.requests} ({_statuses(total)}), retries: {total.retries}, "
        f"429s: {total.by_status.get('429', 0)}",
        api_time,
    ]
    if plan["plan_only"]:
        lines.append("plan_only: no measurements were asked for and nothing was loaded")
    if loaded is None:
        return "\n".join([*lines, "rows: nothing was loaded"])
    lines.append(f"rows: {LoadCounts(**loaded['counts'])}")
    skipped = {**plan["skipped"], **plan["refused"], **loaded["skipped"]}
    lines.append(f"entities skipped: {len(skipped)}")
    lines += _named(plan["level"], skipped)
    if loaded["without_data"]:
        lines += [f"{plan['level']}s without data: {len(loaded['without_data'])}"]
        lines += _named(plan["level"], loaded["without_data"])
    lines += [f"  field {name!r} isn't loaded: {reason}" for name, reason in plan["left_out"].items()]
    for entity, reasons in loaded["skipped_fields"].items():
        lines += [f"  {plan['level']} {entity}, field {name}: {reason}" for name, reason in reasons.items()]
    return "\n".join([*lines, *loaded["notes"]])


def _named(level: str, entities: Mapping[str, str]) -> list[str]:
    lines = [f"  {level} {entity}: {reason}" for entity, reason in list(entities.items())[:NAMED]]
    if len(entities) > NAMED:
        lines.append(f"  and {len(entities) - NAMED} more: see the column skipped of the table coverage")
    return lines


def _statuses(usage: Usage) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(usage.by_status.items())) or "none"


def _failure(plan: Mapping[str, Any], loaded: Mapping[str, Any] | None) -> str | None:
    if plan["plan_only"] or not plan["batches"]:
        return None
    if loaded is None:
        return "Nothing was loaded: a task failed. Clear the failed extract or load task; it goes on where it stopped"
    return refused_too_many(plan, loaded)


def refused_too_many(plan: Mapping[str, Any], loaded: Mapping[str, Any]) -> str | None:
    """Say why a run that has loaded must fail: the API refuses too many of the entities; None: it needn't."""
    refused = {**plan["refused"], **loaded["skipped"]}
    entities = loaded["entities"] + len(plan["refused"])
    if len(refused) > REFUSED_SHARE * entities:
        narrower = f", or choose others with {plan['chosen_with']}" if plan["chosen_with"] else ""
        return (
            f"The API refused {len(refused)} of {entities} entities, more than {REFUSED_SHARE:.0%}; the rest is "
            f"loaded. The report names them: check the account's permissions{narrower}"
        )
    return None
