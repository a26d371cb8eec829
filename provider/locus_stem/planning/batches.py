"""Batches: how the requests are spread over mapped tasks.

Airflow maps at most 1,024 tasks, and about a second goes by between two of them in a pool of one slot: so
batches are tens of seconds long where that leaves enough of them for a larger pool to work in parallel.
"""

from __future__ import annotations

from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from locus_stem.planning.request import DataRequest

__all__ = ["MOST_BATCHES", "batches"]

MOST_BATCHES = 1024
_PARALLEL = 64
_SHORTEST, _LONGEST = 30.0, 100.0  # seconds


def batches(requests: Sequence[DataRequest], seconds_each: float, slots: int = 1) -> list[list[DataRequest]]:
    """Split requests, in their order, into at most 1,024 batches, none of them empty.

    Requests of one entity, which follow each other, stay in one batch unless they are more than a batch
    holds.

    :param seconds_each: how long a request is expected to take, above 0
    :param slots: of the pool, as it is made; with more of them a batch may be shorter, since the others go on while
        one waits for its next task
    """
    if not seconds_each > 0:
        raise ValueError(f"seconds_each is {seconds_each}; it must be above 0")
    target = min(max(len(requests) * seconds_each / _PARALLEL, _SHORTEST / slots), _LONGEST)
    size = max(1, int(target / seconds_each), ceil(len(requests) / MOST_BATCHES))
    entities = [
        list(group) for _, group in groupby(requests, key=lambda each: (each.entity_type, each.entity_id))
    ]
    while True:
        found = list(_packed(entities, size))
        if len(found) <= MOST_BATCHES:
            return found
        size = ceil(size * 1.1)  # whole entities filled the batches badly


def _packed(entities: Sequence[Sequence[DataRequest]], size: int) -> Iterator[list[DataRequest]]:
    batch: list[DataRequest] = []
    for entity in entities:
        for start in range(0, len(entity), size):
            piece = entity[start : start + size]
            if batch and len(batch) + len(piece) > size:
                yield batch
                batch = []
            batch.extend(piece)
    if batch:
        yield batch
