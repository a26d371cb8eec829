from __future__ import annotations

import random

import pytest

from locus_stem.sandbox.recorded import channel
from locus_stem.sandbox.series import Holes, Revision, Series, Span

HOLES = (Holes(17, 3, 40, 52), Holes(23, 5, 44, 60))


def series(*, holes=HOLES, revisions=()):
    return Series(channel("power"), cycle_shift=11, slot_shift=-32 % 96, holes=holes, revisions=revisions)


def minute_by_minute(one: Series, first: int, after: int) -> Span | None:
    parts = [one.span(minute, minute + 1) for minute in range(first, after)]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return Span(
        sum(part.total for part in found),
        len(found),
        max(part.highest for part in found),
        min(part.lowest for part in found),
    )


@pytest.mark.parametrize("seed", range(12))
def test_a_span_is_the_sum_of_its_minutes(seed):
    chance = random.Random(seed)
    one = series(
        revisions=(
            Revision(2_000_010, 2_000_050, 1200),
            Revision(2_000_300, 2_000_420, None),
            Revision(2_000_030, 2_000_060, 900),
        )
    )
    first = 2_000_000 * 15 + chance.randrange(0, 9000)
    after = first + chance.randrange(1, 4000)
    assert one.span(first, after) == minute_by_minute(one, first, after)


@pytest.mark.parametrize("seed", range(12))
def test_running_sums_agree_with_day_by_day_sums(seed):
    chance = random.Random(100 + seed)
    one = series()
    first = chance.randrange(27_000_000, 28_000_000)
    after = first + chance.randrange(1, 500_000)
    slow, quick = one.span(first, after), one.span(first, after, extremes=False)
    assert slow is not None
    assert quick is not None
    assert (quick.total, quick.minutes) == (slow.total, slow.minutes)


def test_a_span_within_a_hole_is_nothing():
    one = series(holes=(Holes(1, 0, 0, 96),))
    assert one.span(27_000_000, 27_010_000) is None


def test_holes_that_overlap_are_counted_once():
    one = series(holes=(Holes(1, 0, 10, 20), Holes(1, 0, 15, 30)))
    assert one.empty(0) == [(10, 30)]
    span = one.span(0, 96 * 15 * 3, extremes=False)
    assert span is not None
    assert span.minutes == 3 * (96 - 20) * 15


def test_the_days_with_a_hole_are_those_that_leave_its_remainder():
    hole = Holes(17, 3, 0, 1)
    assert list(hole.days(100, 140)) == [number for number in range(100, 140) if hole.on(number)]


def test_a_withdrawal_takes_away_exactly_its_slots():
    one = series(holes=(), revisions=(Revision(1_000, 1_004, None),))
    assert [one.has_value(slot) for slot in range(999, 1_006)] == [
        True,
        False,
        False,
        False,
        False,
        True,
        True,
    ]


def test_revisions_of_the_same_slot_multiply():
    day = series(holes=(), revisions=(Revision(-96, 96, 2000), Revision(-96, 96, 500)))
    assert list(day.day(0).values) == list(series(holes=()).day(0).values)
