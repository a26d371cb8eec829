"""Requests that keep failing: is it the API that fails, or they? Asked of it, not guessed.

An entity whose answers are garbled, endless or errors of the server, whatever is tried, must not keep the others from
being loaded; an API that is down must not make all of them skipped. So when a batch has waited for as long as one
request may be tried, a request that was answered before is asked again, or where the batch has none, one of another
batch. Where that is answered each of them is asked once more, for the API may have come back just then: those that fail
again are the ones that fail.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import RateLimitedError, RefusedError, RetriableError
from locus_stem.pipelines.batch_state import BatchState, request_key, requests_of
from locus_stem.pipelines.slot import Turn, UnansweredError, Usage
from locus_stem.planning.fields import FieldGroup
from locus_stem.tables.staging import PLAN

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from locus_stem.api.client import LocusClient, StemClient
    from locus_stem.api.endpoint import Call
    from locus_stem.api.errors import ApiError
    from locus_stem.planning.request import DataRequest
    from locus_stem.tables.staging import BatchStaging

__all__ = ["answered_before", "failing_still", "failures", "fruitless", "is_answered", "of_another_batch"]

#: Seconds for which it is tried whether the API works, and as many for which what failed is asked once more. The turn
#: in the slot is over then.
CONTROL_SECONDS = 15.0
#: Seconds for which one of these is tried.
RECHECK_SECONDS = 1.0
#: Other batches that are looked at for one that was answered.
OTHER_BATCHES = 20


def failures(manifests: Iterable[Mapping[str, Any]]) -> Counter[int]:
    """Count in how many parts each entity's requests have failed."""
    return Counter(int(entity) for manifest in manifests for entity in manifest.get("failed", ()))


def fruitless(manifests: Sequence[Mapping[str, Any]]) -> tuple[Usage, dict[int, str]]:
    """Sum up what the last parts in a row that brought nothing have used, and name whose requests failed and why."""
    used, failed = Usage(), dict[int, str]()
    for manifest in reversed(manifests):
        if manifest["answered"] or manifest["refused"] or manifest["refused_fields"]:
            break
        used += Usage.from_json(manifest["usage"])
        failed = {int(entity): reason for entity, reason in manifest.get("failed", {}).items()} | failed
    return used, failed


def answered_before(requests: Iterable[DataRequest], state: BatchState) -> DataRequest | None:
    """Choose a request of which something was answered, with the fields that were; None if nothing was."""
    for request in requests:
        heard = state.answered.get(request_key(request), ())
        fields = tuple(name for name in request.group.fields if name in heard)
        if fields:
            return replace(request, group=FieldGroup(fields, request.group.parameters))
    return None


def of_another_batch(batch: BatchStaging, failing: Container[int]) -> DataRequest | None:
    """Choose a request of another batch of the plan: one that was answered, else any that isn't of these entities.

    A plan whose entities take long to ask has batches of a single one: then nothing of its own can be answered.
    """
    staging, unanswered = batch.staging, None
    others = [number for number in range(staging.read_json(PLAN)["batches"]) if number != batch.number]
    for number in random.sample(others, min(len(others), OTHER_BATCHES)):
        requests = requests_of(staging, number)
        state = BatchState.from_manifests(staging.batch(number).manifests())
        if (found := answered_before(requests, state)) is not None:
            return found
        unanswered = unanswered or next((one for one in requests if one.entity_id not in failing), None)
    return unanswered


def is_answered(client: LocusClient | StemClient, call: Call, seconds: float = CONTROL_SECONDS) -> bool:
    """Ask a call that works if the API does; a refusal is an answer too."""
    try:
        Turn(client, seconds).answer(call, set_aside=seconds)
    except RefusedError:
        return True
    except (RetriableError, UnansweredError):
        return False
    return True


def failing_still(client: LocusClient | StemClient, calls: Iterable[Call]) -> dict[Call, ApiError]:
    """Ask calls that have failed once more, for :data:`CONTROL_SECONDS` in all, and give those that fail again.

    :raises RetriableError: the API asks to wait, whatever is asked.
    """
    turn = Turn(client, CONTROL_SECONDS, set_aside=RECHECK_SECONDS)
    outcomes: list[tuple[Call, ApiError | None]] = [
        (outcome.call, outcome.error) for outcome in turn.answers(calls)
    ]
    if turn.cut_off is not None:  # in the wait that the API has asked for after a failure
        outcomes.append(turn.cut_off)
    return {
        call: error
        for call, error in outcomes
        if isinstance(error, RetriableError) and not isinstance(error, RateLimitedError)
    }
