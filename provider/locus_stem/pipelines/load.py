"""Load what a run has staged: data, then coverage; nothing while a batch is incomplete."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.pipelines.batch_state import BatchState, request_key, requests_of
from locus_stem.pipelines.overlaps import asked_when, parts_of
from locus_stem.tables.counts import LoadCounts
from locus_stem.tables.coverage import record_coverage
from locus_stem.tables.loads import load_in_order
from locus_stem.tables.measurements import Asked, load_measurements
from locus_stem.tables.skips import Skip

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from locus_stem.planning.request import DataRequest
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.loads import Due
    from locus_stem.tables.staging import Staging

log = logging.getLogger(__name__)

#: Batches whose manifests are read at once.
READERS = 16


class IncompleteBatchError(RuntimeError):
    """A batch has not been answered to its end: loading it would take missing answers for withdrawn values."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a run did; small enough for XCom.

    :param coverage: rows of the table `coverage`.
    :param span: ``start`` and ``end`` of what was loaded, see :func:`span_of`; empty: nothing was.
    :param skipped: entities that the API refuses, and why.
    :param without_data: entities that it doesn't refuse and has nothing of.
    :param notes: further lines of the report.
    """

    counts: LoadCounts = field(default_factory=LoadCounts)
    entities: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_fields: dict[str, dict[str, str]] = field(default_factory=dict)
    without_data: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    coverage: LoadCounts = field(default_factory=LoadCounts)
    span: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Write for XCom."""
        return asdict(self)


def load_backfill(lake: Lake, staging: Staging) -> Loaded:
    """Load the staged measurements of one run and record their coverage.

    :raises IncompleteBatchError: a batch lacks answers; clear its extract task.
    """
    plan = staging.read_json("plan.json")
    requests, manifests = answered(staging, plan["batches"])
    outcome = BatchState.from_manifests(manifests)
    skipped, bad_fields = refusals(requests, outcome)
    asked = _asked(manifests, skipped)
    parts = parts_of(staging, manifests)
    table, granularity, level = plan["table"], plan["granularity"], plan["level"]
    log.info("Loading %d part(s) of %d slices into %s", len(parts), len(asked), table)

    def load(due: Due) -> tuple[LoadCounts, LoadCounts]:
        counts = load_measurements(lake, table, granularity, parts, due.asked)
        return counts, record_coverage(lake, table, level, granularity, parts, due.covered, skips=due.skips)

    records = _skip_records(requests, skipped, outcome)
    (counts, coverage), overtaken = load_in_order(
        lake, table, granularity, staging.plan_id, asked, records, load
    )
    return Loaded(
        counts=counts,
        coverage=coverage,
        span=span_of(asked),
        entities=len({request.entity_id for request in requests}),
        skipped={str(entity): reason for entity, reason in sorted(skipped.items())},
        skipped_fields={str(entity): reasons for entity, reasons in sorted(bad_fields.items())},
        notes=overtaken_notes(overtaken, len(asked)),
    )


def overtaken_notes(overtaken: int, answers: int) -> list[str]:
    """Give the report's line on answers that other runs have asked later and loaded before."""
    if not overtaken:
        return []
    return [
        f"answers of which another run had loaded younger ones, in part or whole: {overtaken} of {answers}; "
        "those were kept"
    ]


def span_of(asked: Iterable[Asked]) -> dict[str, str]:
    """Give the first instant that was asked of any entity and the first after the last: ISO 8601, UTC; {} of none."""
    windows_asked = [(one.start, one.end) for one in asked]
    if not windows_asked:
        return {}
    start, end = min(start for start, _ in windows_asked), max(end for _, end in windows_asked)
    return {"start": start.astimezone(UTC).isoformat(), "end": end.astimezone(UTC).isoformat()}


def answered(staging: Staging, batches: int) -> tuple[list[DataRequest], list[dict[str, Any]]]:
    """Read the requests of all batches and the manifests of what came.

    :raises IncompleteBatchError: a batch lacks answers.
    """
    requests: list[DataRequest] = []
    manifests: list[dict[str, Any]] = []

    def read(number: int) -> tuple[list[DataRequest], list[dict[str, Any]]]:
        return requests_of(staging, number), staging.batch(number).manifests()

    with ThreadPoolExecutor(READERS) as readers:  # a thousand batches, each of some files, in an object store
        found = list(readers.map(read, range(batches)))
    for number, (mine, written) in enumerate(found):
        left = [request for request in map(BatchState.from_manifests(written).left, mine) if request]
        if left:
            raise IncompleteBatchError(
                f"batch {number} lacks {len(left)} answer(s), the first: {left[0].title}; "
                f"nothing was loaded. Clear the extract task of map index {number}: it goes on where it stopped"
            )
        requests += mine
        manifests += written
    return requests, manifests


def refusals(
    requests: Sequence[DataRequest], outcome: BatchState
) -> tuple[dict[int, str], dict[int, dict[str, str]]]:
    """Tell refused entities from refused fields: an entity of which nothing was answered is refused itself."""
    heard: dict[int, set[str]] = {}
    for key, names in outcome.answered.items():
        heard.setdefault(key[0], set()).update(names)
    skipped = dict(outcome.refused)
    fields: dict[int, dict[str, str]] = {}
    for request in requests:
        for name, reason in outcome.refused_fields.get(request_key(request), {}).items():
            if request.entity_id not in heard:
                skipped.setdefault(request.entity_id, reason)
            elif request.entity_id not in skipped:
                part = f" from {request.slice.start:%Y-%m-%d}" if name in heard[request.entity_id] else ""
                fields.setdefault(request.entity_id, {})[name + part] = reason
    return skipped, fields


def _asked(manifests: Sequence[dict[str, Any]], skipped: dict[int, str]) -> list[Asked]:
    """Give the scope in which the table must equal the answers: entity, fields and closed window of each slice.

    Requests for the same slice that were sent on both sides of an interval's end give the window that both saw.
    """
    return [
        Asked(item["entity"], item["site"], item["zone"], fields, start, end, asked_when(item))
        for item, fields, start, end in windows(manifests, skipped)
    ]


def refused_when(outcome: BatchState, request: DataRequest, name: str) -> datetime:
    """Give the instant at which a field of a request was refused, or its entity."""
    known = outcome.refused_at
    return known[request.entity_id if request.entity_id in outcome.refused else (request_key(request), name)]


def windows(
    manifests: Sequence[dict[str, Any]], skipped: Container[int]
) -> Iterator[tuple[dict[str, Any], tuple[str, ...], datetime, datetime]]:
    """Give of each answer what the manifest says of it, its fields, and its closed window."""
    ends: dict[tuple[int, str], datetime] = {}
    items = [item for manifest in manifests for item in manifest["answered"] if item["entity"] not in skipped]
    for item in items:
        key = item["entity"], item["slice"]
        end = datetime.fromisoformat(item["end"])
        ends[key] = min(end, ends.get(key, end))
    for item in items:
        start, end = datetime.fromisoformat(item["slice"]), ends[item["entity"], item["slice"]]
        if start < end:
            yield item, tuple(item["fields"]), start, end


def _skip_records(
    requests: Sequence[DataRequest], skipped: dict[int, str], outcome: BatchState
) -> list[Skip]:
    records = []
    for request in requests:
        reasons = outcome.refused_fields.get(request_key(request), {})
        for name in request.group.fields:
            reason = skipped.get(request.entity_id) or reasons.get(name)
            if reason:
                kept, at = request.slice, refused_when(outcome, request, name)
                records.append(Skip(request.entity_id, name, reason, request.zone, kept.start, kept.end, at))
    return records
