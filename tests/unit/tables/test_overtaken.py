"""What still counts of an answer where others asked later: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from locus_stem.tables.measurements import Asked
from locus_stem.tables.overtaken import Later, due
from locus_stem.tables.skips import Skip

ZONE = "America/Los_Angeles"
MIDNIGHT = datetime(2025, 3, 1, 8, tzinfo=UTC)  # of the zone
ASKED_AT = datetime(2025, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hours(number):
    return MIDNIGHT + timedelta(hours=number)


ONE = Asked(1, 1, ZONE, ("W", "Wh"), hours(0), hours(96), ASKED_AT)


def later(start, end, *fields, entity="1", minutes=1, reason=None):
    return Later(entity, frozenset(fields), hours(start), hours(end), ASKED_AT + minutes * MINUTE, reason)


def parts(found):
    return sorted((field, one.start, one.end) for one in found for field in one.fields)


def test_without_others_everything_is_due_as_it_was_asked():
    skip = Skip(1, "PF", "no such field", ZONE, hours(0), hours(24), ASKED_AT)
    found = due([ONE], [skip], [], "hourly")
    assert (found.asked, found.covered, found.skips, found.overtaken) == ([ONE], [ONE], [skip], 0)


def test_a_later_answer_takes_its_own_fields_in_its_own_window_out_of_the_values():
    found = due([ONE], [], [later(30, 40, "W", "PF")], "hourly")
    assert parts(found.asked) == [
        ("W", hours(0), hours(30)),
        ("W", hours(40), hours(96)),
        ("Wh", hours(0), hours(96)),
    ]
    assert found.overtaken == 1


def test_a_date_of_coverage_is_the_later_run_s_even_where_it_asked_about_a_part_of_it():
    found = due([ONE], [], [later(30, 40, "W")], "hourly")
    assert parts(found.covered) == [
        ("W", hours(0), hours(24)),
        ("W", hours(48), hours(96)),
        ("Wh", hours(0), hours(96)),
    ]


def test_what_was_asked_before_or_at_the_same_time_or_of_others_takes_nothing_out():
    others = [
        later(0, 96, "W", minutes=0),
        later(0, 96, "W", minutes=-1),
        later(0, 96, "W", entity="2"),
        later(0, 96, "PF"),
        later(96, 200, "W"),
        later(-50, 0, "W"),
    ]
    found = due([ONE], [], others, "hourly")
    assert (parts(found.asked), parts(found.covered), found.overtaken) == (parts([ONE]), parts([ONE]), 0)


def test_a_later_refusal_leaves_the_values_and_is_marked_on_its_dates_again():
    found = due([ONE], [], [later(24, 48, "W", reason="403")], "hourly")
    assert (found.asked, parts(found.covered), found.overtaken) == ([ONE], parts([ONE]), 0)
    assert found.skips == [Skip("1", "W", "403", ZONE, hours(24), hours(48), ASKED_AT + MINUTE)]


def test_an_own_refusal_is_dropped_on_dates_of_which_another_asked_later():
    skip = Skip(1, "W", "403", ZONE, hours(0), hours(72), ASKED_AT)
    found = due([], [skip], [later(30, 31, "W")], "hourly")
    assert found.skips == [replace(skip, end=hours(24)), replace(skip, start=hours(48))]


def test_series_are_known_to_others_by_their_names():
    series = Asked(7, 7, "UTC", ("kw_total_avg",), hours(0), hours(48), ASKED_AT)
    names = {7: ("site/1", "MONITOR")}
    found = due([series], [], [later(12, 48, "MONITOR", entity="site/1")], "900", names)
    assert parts(found.asked) == [("kw_total_avg", hours(0), hours(12))]
    other = due([series], [], [later(12, 48, "CONVERTER", entity="site/1")], "900", names)
    assert (other.asked, other.overtaken) == ([series], 0)
