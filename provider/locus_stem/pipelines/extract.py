"""Extract one batch of data requests into staging, one request in flight, resumable at every part."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.api.errors import BadRequestError
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.retry import BUDGET_SECONDS
from locus_stem.pipelines.rows import UnfitAnswerError, measurement_rows
from locus_stem.pipelines.slot import UnansweredError, Usage
from locus_stem.planning.fields import FieldGroup, halve
from locus_stem.planning.intervals import closed_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from locus_stem.api.client import Answer
    from locus_stem.api.endpoint import Call
    from locus_stem.api.pipeline import Outcome
    from locus_stem.pipelines.slot import Turn
    from locus_stem.planning.backfill import DataRequest
    from locus_stem.tables.staging import BatchStaging

log = logging.getLogger(__name__)

#: A part is written after so many rows or seconds: memory stays flat, and a kill costs little.
PART_ROWS = 100_000
PART_SECONDS = 30.0

ENDPOINTS = {"site": LocusEndpoints.get_site_data, "component": LocusEndpoints.get_component_data}


@dataclass(slots=True)
class BatchState:
    """What is known of a batch's requests: answered fields by request, refused fields and refused entities."""

    answered: dict[tuple[Any, ...], set[str]] = field(default_factory=dict)
    refused_fields: dict[int, dict[str, str]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    @classmethod
    def from_manifests(cls, manifests: Iterable[dict[str, Any]]) -> BatchState:
        """Put together what the parts that are written say."""
        state = cls()
        for manifest in manifests:
            for item in manifest["answered"]:
                key = (item["entity"], item["slice"], tuple(map(tuple, item["parameters"])))
                state.answered.setdefault(key, set()).update(item["fields"])
            for entity, reasons in manifest["refused_fields"].items():
                state.refused_fields.setdefault(int(entity), {}).update(reasons)
            state.refused.update({int(entity): reason for entity, reason in manifest["refused"].items()})
        return state

    def left(self, request: DataRequest) -> DataRequest | None:
        """Give the part of a request that is still to be asked, None if there is none."""
        if request.entity_id in self.refused:
            return None
        settled = (
            self.answered.get(_key(request), set()) | self.refused_fields.get(request.entity_id, {}).keys()
        )
        fields = tuple(name for name in request.group.fields if name not in settled)
        return replace(request, group=FieldGroup(fields, request.group.parameters)) if fields else None


def _key(request: DataRequest) -> tuple[Any, ...]:
    return request.entity_id, request.slice.start.isoformat(), request.group.parameters


def extract_batch(
    requests: Sequence[DataRequest], staging: BatchStaging, turn: Turn, owner: dict[str, Any]
) -> int:
    """Ask for what of a batch is not yet in staging, until done or the turn is over.

    :param owner: the task's identity for the `runs` table; stands in each manifest.
    :return: requests left; not 0 where the turn ended first.
    :raises UnansweredError: turns in a row have brought nothing for five minutes.
    """
    state = BatchState.from_manifests(staging.manifests())
    queue = deque(left for request in requests if (left := state.left(request)))
    before = len(requests) - len(queue)
    if before:
        log.info("Resuming: %d of %d requests are in staging already", before, len(requests))
    part = _Part(staging, turn, owner)
    outcomes = 0
    try:
        while queue and not turn.over():
            asked: dict[Call, DataRequest] = {}
            for outcome in turn.answers(_calls(queue, asked, state, turn)):
                _take(asked.pop(outcome.call), outcome, queue, state, part)
                outcomes += 1
                turn.progress("data requests", len(requests) - len(queue) - len(asked), len(requests), before)
            queue.extendleft(asked.values())
    finally:
        part.write()
    if queue and not outcomes:
        _check_patience(staging)
    return len(queue)


def _check_patience(staging: BatchStaging) -> None:
    """Give up where turns in a row have brought nothing for as long as one request may be tried.

    :raises UnansweredError: the API has failed for :data:`BUDGET_SECONDS` and more.
    """
    fruitless = Usage()
    for manifest in reversed(staging.manifests()):
        if manifest["answered"] or manifest["refused"] or manifest["refused_fields"]:
            break
        fruitless += Usage.from_json(manifest["usage"])
    if fruitless.wall_seconds >= BUDGET_SECONDS:
        raise UnansweredError("data requests of this batch", fruitless)


def _calls(
    queue: deque[DataRequest], asked: dict[Call, DataRequest], state: BatchState, turn: Turn
) -> Iterator[Call]:
    while queue and not turn.over():
        request = state.left(queue.popleft())
        if request is None:
            continue
        call = ENDPOINTS[request.entity_type].request(
            **{f"{request.entity_type}_id": request.entity_id},
            fields=request.group.fields,
            start=request.slice.query_start,
            end=request.slice.query_end,
            tz=request.slice.tz,
            gran=request.granularity,
            field_parameters=dict(request.group.parameters),
        )
        asked[call] = request
        yield call


def _take(
    request: DataRequest, outcome: Outcome, queue: deque[DataRequest], state: BatchState, part: _Part
) -> None:
    """Stage an answer; on a refusal find out whether a field or the entity is refused."""
    if outcome.answer is not None:
        try:
            part.add(request, outcome.answer)
        except UnfitAnswerError as error:
            _refuse(request.entity_id, f"unfit answer: {error}", state, part)
    elif isinstance(outcome.error, BadRequestError) and len(request.group.fields) > 1:
        log.info("%s was refused with %d fields; asking for halves", request.title, len(request.group.fields))
        queue.extendleft(replace(request, group=half) for half in reversed(halve(request.group)))
    elif isinstance(outcome.error, BadRequestError):
        (name,) = request.group.fields
        log.warning("%s: field %s is refused: %s", request.title, name, outcome.error)
        state.refused_fields.setdefault(request.entity_id, {})[name] = str(outcome.error)
        part.refused_fields.setdefault(request.entity_id, {})[name] = str(outcome.error)
    else:
        _refuse(request.entity_id, str(outcome.error), state, part)


def _refuse(entity_id: int, reason: str, state: BatchState, part: _Part) -> None:
    log.warning("entity %d is skipped: %s", entity_id, reason)
    state.refused[entity_id] = part.refused[entity_id] = reason


class _Part:
    """What has been answered since the last part was written."""

    def __init__(self, staging: BatchStaging, turn: Turn, owner: dict[str, Any]) -> None:
        self._staging, self._turn, self._owner = staging, turn, owner
        self._begin()

    def _begin(self) -> None:
        self._tables: list[pa.Table] = []
        self._answered: list[dict[str, Any]] = []
        self._rows = 0
        self._since = time.monotonic()
        self.refused: dict[int, str] = {}
        self.refused_fields: dict[int, dict[str, str]] = {}

    def add(self, request: DataRequest, answer: Answer) -> None:
        """Keep the closed intervals of one answer; write the part when it is full."""
        end = closed_end(request.slice.end, request.zone, request.granularity, _asked_at(answer))
        rows = measurement_rows(answer.payload, request, end)
        self._tables.append(rows)
        self._rows += rows.num_rows
        self._answered.append(
            {
                "entity": request.entity_id,
                "site": request.site_id,
                "zone": request.zone,
                "slice": request.slice.start.isoformat(),
                "end": end.isoformat(),
                "fields": request.group.fields,
                "parameters": request.group.parameters,
                "rows": rows.num_rows,
            }
        )
        if self._rows >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS:
            self.write()

    def write(self) -> None:
        """Commit the part with its manifest: rows, what was answered and refused, what was used."""
        usage = self._turn.usage()
        rows = pa.concat_tables(self._tables, promote_options="default") if self._rows else None
        self._staging.commit_part(
            rows,
            {
                "answered": self._answered,
                "refused": {str(entity): reason for entity, reason in self.refused.items()},
                "refused_fields": {str(entity): reasons for entity, reasons in self.refused_fields.items()},
                "usage": usage.to_json(),
                "owner": self._owner,
            },
        )
        log.info(
            "Staged %d rows of %d answers (%d requests)", self._rows, len(self._answered), usage.requests
        )
        self._begin()


def _asked_at(answer: Answer) -> datetime:
    """The earlier of both clocks when the request was sent; a server's clock more than a day off tells nothing."""
    theirs = answer.server_date
    if theirs is None or abs(theirs - answer.asked_at) > timedelta(days=1):
        return answer.asked_at.astimezone(UTC)
    return min(answer.asked_at, theirs).astimezone(UTC)
