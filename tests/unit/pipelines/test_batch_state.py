"""Which fields are asked for by themselves, because they may be refused and spoil the others."""

from __future__ import annotations

from locus_stem.pipelines.batch_state import BatchState


def key(entity, begin="2025-01-01"):
    return entity, begin, ()


def test_a_field_that_one_entity_is_refused_is_suspect_there_alone():
    state = BatchState()
    state.note_refusal(key(1), "W_avg", "no")
    assert state.suspects(1) == {"W_avg"}
    assert state.suspects(2) == set()


def test_a_field_that_two_entities_are_refused_and_nobody_was_answered_is_suspect_everywhere():
    state = BatchState()
    for entity in (1, 2):
        state.note_refusal(key(entity), "W_avg", "no")
        state.note_answer(key(entity), ["Wh_sum"])
    assert state.suspects(3) == {"W_avg"}
    state.note_answer(key(3), ["W_avg"])
    assert state.suspects(4) == set()
    assert state.suspects(1) == {"W_avg"}


def test_two_slices_of_one_entity_are_no_two_entities():
    state = BatchState()
    for begin in ("2025-01-01", "2025-02-01"):
        state.note_refusal(key(1, begin), "W_avg", "no")
    assert state.suspects(2) == set()


def test_a_field_that_was_answered_for_another_slice_is_not_suspect():
    state = BatchState()
    state.note_refusal(key(1), "W_avg", "no")
    state.note_answer(key(1, "2025-02-01"), ["W_avg"])
    assert state.suspects(1) == set()
