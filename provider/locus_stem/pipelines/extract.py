"""Extract one batch of data requests into staging, one request in flight, resumable at every part."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from locus_stem.api.answer import trusted
from locus_stem.api.errors import (
    BadRequestError,
    ExcessiveAnswerError,
    OversizedAnswerError,
    RefusedError,
    RetriableError,
)
from locus_stem.api.locus import LocusEndpoints
from locus_stem.api.retry import BUDGET_SECONDS
from locus_stem.pipelines.batch_state import BatchState, Key, request_key
from locus_stem.pipelines.clocks import Clocks
from locus_stem.pipelines.failing import (
    answered_before,
    failing_still,
    failures,
    fruitless,
    is_answered,
    of_another_batch,
)
from locus_stem.pipelines.overlaps import numbered
from locus_stem.pipelines.rows import UnfitAnswerError, measurement_rows
from locus_stem.pipelines.slot import UnansweredError
from locus_stem.planning.fields import FieldGroup, halve
from locus_stem.planning.intervals import closed_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from locus_stem.api.client import Answer
    from locus_stem.api.endpoint import Call
    from locus_stem.api.pipeline import Outcome
    from locus_stem.pipelines.slot import Turn
    from locus_stem.planning.backfill import DataRequest
    from locus_stem.tables.staging import BatchStaging

log = logging.getLogger(__name__)

#: A part is written after so many rows or seconds: memory stays flat, and a kill costs little.
PART_ROWS = 100_000
PART_SECONDS = 10.0

ENDPOINTS = {"site": LocusEndpoints.get_site_data, "component": LocusEndpoints.get_component_data}


class Source(Protocol):
    """How a data request is put to the API, and what of its answer is staged."""

    def call(self, request: DataRequest) -> Call:
        """Prepare the call."""

    def rows(
        self, payload: Sequence[Any], request: DataRequest, end: datetime
    ) -> tuple[pa.Table, dict[str, Any]]:
        """Make the rows of an answer's intervals that begin before `end`, and what its manifest says besides.

        The manifest's own ``end``, where it is among that, is the instant up to which the answer is whole.

        :raises UnfitAnswerError: see :mod:`locus_stem.pipelines.rows`.
        """

    def refused(self, request: DataRequest, error: RefusedError) -> tuple[str, ...] | None:
        """Tell which of the request's fields a refusal is about.

        All of them: it may be any of them. Some: these, in each slice of the entity. None at all, an empty tuple:
        nothing is refused, there are no rows. None: the entity is refused.
        """


class Measurements:
    """Data of one site or component a request."""

    def call(self, request: DataRequest) -> Call:  # noqa: D102
        return ENDPOINTS[request.entity_type].request(
            **{f"{request.entity_type}_id": request.entity_id},
            fields=request.group.fields,
            start=request.slice.query_start,
            end=request.slice.query_end,
            tz=request.slice.tz,
            gran=request.granularity,
            field_parameters=dict(request.group.parameters),
        )

    def rows(  # noqa: D102
        self, payload: Sequence[Any], request: DataRequest, end: datetime
    ) -> tuple[pa.Table, dict[str, Any]]:
        return measurement_rows(payload, request, end), {}

    def refused(self, request: DataRequest, error: RefusedError) -> tuple[str, ...] | None:  # noqa: D102
        return any_field(request, error)


def any_field(request: DataRequest, error: RefusedError) -> tuple[str, ...] | None:
    """Take a refusal as Locus means it: a bad request may be one for any of the fields."""
    return request.group.fields if isinstance(error, BadRequestError) else None


def extract_batch(
    requests: Sequence[DataRequest],
    staging: BatchStaging,
    turn: Turn,
    owner: dict[str, Any],
    source: Source | None = None,
    *,
    patience: float | None = None,
) -> int:
    """Ask for what of a batch is not yet in staging, until done or the turn is over.

    A request that fails is set aside, and asked again after the others. An entity that still fails when nothing else
    has been left for `patience` is skipped, if the API answers others and then fails for it once more.

    :param owner: the task's identity for the `runs` table; stands in each manifest.
    :param source: how they are asked and read; that of measurements where None.
    :param patience: seconds for which turns in a row may bring nothing; None: :data:`BUDGET_SECONDS`.
    :return: requests left; not 0 where the turn ended first.
    :raises UnansweredError: turns in a row have brought nothing for so long, and nothing else is answered either.
    """
    manifests = staging.manifests()
    state, failed = BatchState.from_manifests(manifests), failures(manifests)
    unsettled = (left for request in requests if (left := state.left(request)))
    queue = deque(sorted(unsettled, key=lambda request: failed[request.entity_id]))
    before = len(requests) - len(queue)
    if before:
        log.info("Resuming: %d of %d requests are in staging already", before, len(requests))
    source = source or Measurements()
    part = _Part(staging, turn, owner, source)
    outcomes = 0
    try:
        while queue and not turn.over():
            asked: dict[Call, DataRequest] = {}
            for outcome in turn.answers(_calls(queue, asked, state, turn, source)):
                _take(asked.pop(outcome.call), outcome, queue, state, part)
                outcomes += not isinstance(outcome.error, RetriableError)
                turn.progress("data requests", len(requests) - len(queue) - len(asked), len(requests), before)
            if turn.cut_off is not None and (request := asked.pop(turn.cut_off[0], None)) is not None:
                part.failed[request.entity_id] = str(turn.cut_off[1])
                queue.append(request)
            queue.extendleft(asked.values())
    finally:
        part.write()
    if not queue or outcomes:
        return len(queue)
    used, failing = fruitless(staging.manifests())
    if used.wall_seconds < (BUDGET_SECONDS if patience is None else patience):
        return len(queue)
    control = answered_before(requests, state) or of_another_batch(staging, failing)
    if not failing or control is None or not is_answered(turn.client, source.call(control)):
        raise UnansweredError("data requests of this batch", used, turn.last_error)
    log.info("%d entities have failed while nothing else was left; each is asked once more", len(failing))
    one_of_each = {request.entity_id: request for request in reversed(queue) if request.entity_id in failing}
    by_call = {source.call(request): request for request in one_of_each.values()}
    for call, error in failing_still(turn.client, by_call).items():
        _refuse(by_call[call], f"no usable answer: {error}", state, part)
    part.write()
    return sum(state.left(request) is not None for request in queue)


def _calls(
    queue: deque[DataRequest],
    asked: dict[Call, DataRequest],
    state: BatchState,
    turn: Turn,
    source: Source,
) -> Iterator[Call]:
    while queue and not turn.over():
        request = state.left(queue.popleft())
        if request is None:
            continue
        suspects = state.suspects(request.entity_id)
        bad = tuple(name for name in request.group.fields if name in suspects)
        if bad and len(bad) < len(request.group.fields):  # what was refused before must not spoil the others
            good = tuple(name for name in request.group.fields if name not in suspects)
            queue.extendleft(
                replace(request, group=FieldGroup((name,), request.group.parameters)) for name in bad
            )
            request = replace(request, group=FieldGroup(good, request.group.parameters))
        call = source.call(request)
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
            if request_key(request) in part.unfit:
                _refuse(request, f"unfit answer: {error}", state, part)
            else:  # a garbled body can be well-formed: ask once more
                part.unfit.add(request_key(request))
                queue.append(request)
        else:
            state.note_answer(request_key(request), request.group.fields)
    elif isinstance(outcome.error, RefusedError):
        _take_refusal(request, outcome.error, queue, state, part)
    elif outcome.error is not None:
        _take_failure(request, outcome.error, queue, state, part)


def _take_failure(
    request: DataRequest, error: RetriableError, queue: deque[DataRequest], state: BatchState, part: _Part
) -> None:
    """Set a request that failed aside; one whose answer is too long is not asked again as it is."""
    if not isinstance(error, OversizedAnswerError):
        part.failed[request.entity_id] = str(error)
        queue.append(request)
    elif isinstance(error, ExcessiveAnswerError) or len(request.group.fields) == 1:
        _refuse(request, f"unfit answer: {error}", state, part)
    else:
        _ask_halves(request, "the answer is too long", queue)


def _take_refusal(
    request: DataRequest, error: RefusedError, queue: deque[DataRequest], state: BatchState, part: _Part
) -> None:
    fields = request.group.fields
    about = part.source.refused(request, error)
    if about is None:
        _refuse(request, str(error), state, part)
    elif not about:
        part.add_nothing(request, error)
        state.note_answer(request_key(request), fields)
    elif len(about) < len(fields):
        rest = tuple(name for name in fields if name not in about)
        queued = list(queue)  # at once: the sending thread takes from it
        for other in (request, *(other for other in queued if other.entity_id == request.entity_id)):
            for name in set(about).intersection(other.group.fields):
                _refuse_field(other, name, str(error), state, part)
        queue.appendleft(replace(request, group=FieldGroup(rest, request.group.parameters)))
    elif len(fields) > 1:
        _ask_halves(request, "it is refused", queue)
    else:
        _refuse_field(request, fields[0], str(error), state, part)


def _ask_halves(request: DataRequest, why: str, queue: deque[DataRequest]) -> None:
    log.info("%s with %d fields: %s; asking for halves", request.title, len(request.group.fields), why)
    queue.extendleft(replace(request, group=half) for half in reversed(halve(request.group)))


def _refuse_field(request: DataRequest, name: str, reason: str, state: BatchState, part: _Part) -> None:
    log.warning("%s: field %s is refused: %s", request.title, name, reason)
    state.note_refusal(request_key(request), name, reason)
    part.refuse_field(request, name, reason)


def _refuse(request: DataRequest, reason: str, state: BatchState, part: _Part) -> None:
    log.warning("%s %s is skipped: %s", request.entity_type, request.entity_name, reason)
    state.refused[request.entity_id] = part.refused[request.entity_id] = reason
    part.refused_at[request.entity_id] = datetime.now(UTC)


class _Part:
    """What has been answered since the last part was written."""

    def __init__(self, staging: BatchStaging, turn: Turn, owner: dict[str, Any], source: Source) -> None:
        self._staging, self._turn, self._owner, self.source = staging, turn, owner, source
        self.unfit: set[Key] = set()
        self._clocks = Clocks()
        self._begin()

    def _begin(self) -> None:
        self._tables: list[pa.Table] = []
        self._answered: list[dict[str, Any]] = []
        self._rows = 0
        self._since = time.monotonic()
        self.refused: dict[int, str] = {}
        self.failed: dict[int, str] = {}
        self.refused_at: dict[int, datetime] = {}
        self._refused_fields: list[dict[str, Any]] = []

    def refuse_field(self, request: DataRequest, name: str, reason: str) -> None:
        """Note that the API refuses one field for one slice."""
        self._refused_fields.append(
            {
                "entity": request.entity_id,
                "slice": request.slice.start.isoformat(),
                "parameters": request.group.parameters,
                "field": name,
                "reason": reason,
                "asked_at": datetime.now(UTC),
            }
        )

    def add(self, request: DataRequest, answer: Answer) -> None:
        """Keep the closed intervals of one answer; write the part when it is full."""
        self._add(request, answer.payload, answer.asked_at, answer.server_date)

    def add_nothing(self, request: DataRequest, error: RefusedError) -> None:
        """Keep the answer that there are no rows."""
        self._add(request, (), datetime.now(UTC), error.server_date)

    def _add(
        self, request: DataRequest, payload: Sequence[Any], asked_at: datetime, server_date: datetime | None
    ) -> None:
        self._clocks.note(asked_at, server_date)
        as_of = _earlier(asked_at, server_date)
        end = closed_end(request.slice.end, request.zone, request.granularity, as_of)
        rows, remarks = self.source.rows(payload, request, end)
        self._tables.append(numbered(rows, len(self._answered)))
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
                "asked_at": asked_at,
                **remarks,
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
                "answered": self._in_order(self._answered),
                "refused": {str(entity): reason for entity, reason in self.refused.items()},
                "refused_at": {
                    str(entity): self._clocks.in_order(at).isoformat()
                    for entity, at in self.refused_at.items()
                },
                "refused_fields": self._in_order(self._refused_fields),
                "failed": {str(entity): reason for entity, reason in self.failed.items()},
                "usage": usage.to_json(),
                "owner": self._owner,
            },
        )
        log.info(
            "Staged %d rows of %d answers (%d requests)", self._rows, len(self._answered), usage.requests
        )
        self._begin()

    def _in_order(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**one, "asked_at": self._clocks.in_order(one["asked_at"]).isoformat()} for one in asked]


def _earlier(asked_at: datetime, server_date: datetime | None) -> datetime:
    """The earlier of both clocks when the request was sent; a server's clock more than a day off tells nothing."""
    return min(asked_at, trusted(server_date, asked_at) or asked_at).astimezone(UTC)
