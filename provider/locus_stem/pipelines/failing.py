"""Requests that keep failing: is it the API that fails, or they? Asked of it, not guessed.

An entity whose answers are garbled, endless or errors of the server, whatever is tried, must not keep the others from
being loaded; an API that is down must not make all of them skipped. So when a batch has waited for as long as one
request may be tried, a request that was answered before is asked again. Where that is answered each of them is asked
once more, for the API may have come back just then: those that fail again are the ones that fail.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from locus_stem.api.errors import RateLimitedError, RefusedError, RetriableError
from locus_stem.pipelines.batch_state import request_key
from locus_stem.pipelines.slot import Turn, UnansweredError, Usage
from locus_stem.planning.fields import FieldGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from locus_stem.api.client import LocusClient, StemClient
    from locus_stem.api.endpoint import Call
    from locus_stem.api.errors import ApiError
    from locus_stem.pipelines.batch_state import BatchState
    from locus_stem.planning.request import DataRequest

__all__ = ["answered_before", "failing_still", "failures", "fruitless", "is_answered"]

#: Seconds for which it is tried whether the API works, and as many for which what failed is asked once more. The turn
#: in the slot is over then.
CONTROL_SECONDS = 15.0
#: Seconds for which one of these is tried.
RECHECK_SECONDS = 1.0


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
