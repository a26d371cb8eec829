from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.planning.batches import batches
from locus_stem.planning.fields import FieldGroup
from locus_stem.planning.request import DataRequest
from locus_stem.planning.slices import Slice

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
GROUP = FieldGroup(("Wh_sum",))
SLICES = [
    Slice(BEGIN + timedelta(days=number), BEGIN + timedelta(days=number + 1), "", "", "UTC")
    for number in range(500)
]


def requests(counts: list[int]) -> list[DataRequest]:
    """One entity for each count, with so many requests."""
    return [
        DataRequest("site", entity, entity, "UTC", "hourly", SLICES[number], GROUP)
        for entity, count in enumerate(counts, 1)
        for number in range(count)
    ]


@given(st.lists(st.integers(1, 30), max_size=300), st.floats(0.001, 500))
def test_every_request_is_in_one_batch_in_order_and_no_batch_is_empty(
    counts: list[int], seconds_each: float
) -> None:
    planned = requests(counts)
    found = batches(planned, seconds_each)
    assert [request for batch in found for request in batch] == planned
    assert all(found)
    assert len(found) <= 1024


@given(st.lists(st.integers(1, 30), min_size=1, max_size=300), st.floats(0.001, 500))
def test_an_entity_is_split_only_where_it_is_more_than_a_batch_holds(
    counts: list[int], seconds_each: float
) -> None:
    found = batches(requests(counts), seconds_each)
    largest = max(map(len, found))
    for one, two in pairwise(found):
        if one[-1].entity_id == two[0].entity_id:
            assert counts[one[-1].entity_id - 1] > largest or len(one) == largest


def test_nothing_to_ask_makes_no_batch() -> None:
    assert batches([], 1.0) == []


@pytest.mark.parametrize(
    ("counts", "seconds_each", "number", "longest"),
    [
        ([12] * 2, 1.0, 1, 30),  # 24 s: one batch
        ([12] * 100, 0.05, 2, 30),  # 60 s: 30 s each, by whole entities
        ([1] * 6400, 1.0, 64, 100),  # 6,400 s: 100 s each
        ([1] * 3200, 1.0, 64, 50),  # 3,200 s: a 64th each
        ([100] * 1500, 1.0, 750, 200),  # 150,000 s would be 1,500 batches: fewer, longer ones
        ([500], 30.0, 167, 100),  # one entity alone is spread over many
        ([3], 200.0, 3, 200),
    ],
)
def test_batches_are_tens_of_seconds_long(
    counts: list[int], seconds_each: float, number: int, longest: int
) -> None:
    found = batches(requests(counts), seconds_each)
    assert len(found) == number
    assert max(map(len, found)) * seconds_each <= longest


@pytest.mark.parametrize("seconds_each", [0, -1.0, float("nan")])
def test_a_time_that_is_not_above_zero_is_refused(seconds_each: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        batches(requests([1]), seconds_each)


def test_a_pool_of_several_slots_gets_shorter_batches_to_work_on_beside_each_other() -> None:
    planned = requests([1] * 230)
    assert len(batches(planned, 0.1)) == 1
    assert len(batches(planned, 0.1, slots=4)) == 4
    assert len(batches(requests([1] * 6), 0.1, slots=4)) == 1
