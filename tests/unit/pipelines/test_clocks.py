"""When something was asked, told by most answers' clocks, and by no single one's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from locus_stem.pipelines.clocks import Clocks

ASKED = datetime(2025, 10, 1, 12, tzinfo=UTC)
OWN = timedelta()
#: What the whole seconds of a header and a slow answer make of clocks that agree.
AGREEING = st.timedeltas(timedelta(seconds=-1), timedelta(minutes=1))
ANY = st.timedeltas(timedelta(days=-1), timedelta(days=1))


def clocks(ahead):
    made = Clocks()
    for offset in ahead:
        made.note(ASKED, ASKED + offset)
    return made


@given(agreeing=st.lists(AGREEING, min_size=2, max_size=9), any_offset=ANY, place=st.integers(0, 9))
def test_one_answer_among_others_moves_nothing(agreeing, any_offset, place):
    agreeing.insert(place, any_offset)
    assert clocks(agreeing).in_order(ASKED) == ASKED


@given(few=st.lists(ANY, max_size=2))
def test_few_answers_tell_nothing(few):
    assert clocks(few).in_order(ASKED) == ASKED


def test_where_most_contradict_the_own_clock_the_server_s_counts():
    late = timedelta(hours=-3)
    made = clocks([late, OWN, late, late])
    assert made.in_order(ASKED) == ASKED + late
    assert made.in_order(ASKED + timedelta(seconds=1)) == ASKED + late + timedelta(seconds=1)


def test_a_date_of_another_day_or_none_is_no_clock():
    made = clocks([timedelta(days=3)] * 5)
    made.note(ASKED, None)
    assert made.in_order(ASKED) == ASKED
