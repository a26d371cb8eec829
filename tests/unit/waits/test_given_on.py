"""What a wait gives on stays small, however much the API answers: it stands in Airflow's database."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.answer import Answer
from locus_stem.waits.alerts import AlertWait
from locus_stem.waits.available import FieldsWait
from locus_stem.waits.wait import Found, TooLargeError
from locus_stem.xcom import MAX_XCOM_BYTES

NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)


def found(wait, *payload):
    looking = wait.look(NOW)
    call = next(looking)
    with pytest.raises(StopIteration) as stop:
        looking.send(Answer(list(payload), NOW, None, call))
    return stop.value.value


def alerts(number, text):
    times = {"start": NOW.isoformat(), "updated": NOW.isoformat()}
    wait = AlertWait.read(site_id=1, since=NOW)
    return found(wait, *({"id": one, **times, "descriptionLong": text} for one in range(number)))


def test_of_alerts_the_earliest_that_fit_are_given_on_and_the_log_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        given_on = alerts(60, "ü" * 2000).within(MAX_XCOM_BYTES)
    assert [alert["id"] for alert in given_on] == list(range(11))
    assert "Only the first 11 of 50 found" in caplog.text


def test_nothing_is_said_where_all_fit(caplog):
    assert len(alerts(50, "short").within(MAX_XCOM_BYTES)) == 50
    assert not caplog.records


def test_what_alone_is_too_large_is_refused_with_its_size():
    fields = FieldsWait.read(site_id=1, fields="Wh_sum")
    base = {"aggregations": [{"shortName": "Wh_sum"}], "granularities": ["x" * 1000] * 1000}
    for one in (alerts(3, "x" * 2**20), found(fields, base)):
        with pytest.raises(
            TooLargeError, match=rf"takes \d{{7}} bytes of JSON, max_xcom_bytes is {MAX_XCOM_BYTES}"
        ):
            one.within(MAX_XCOM_BYTES)


@given(items=st.lists(st.text(max_size=9), max_size=9), limit=st.integers(0, 90))
def test_as_many_are_given_on_as_fit_and_never_more_than_the_limit(items, limit):
    def size(number):
        return len(json.dumps(items[:number], ensure_ascii=False).encode())

    fitting = [number for number in range(1, len(items) + 1) if size(number) <= limit]
    try:
        given_on = Found(items).within(limit)
    except TooLargeError:
        assert not fitting
        assert size(len(items)) > limit
    else:
        assert given_on == items[: max(fitting, default=0)]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=6)
    | st.text(st.characters(categories=["Cs"]), max_size=3)
    | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=json_values)
def test_whatever_an_answer_holds_airflow_s_processes_can_tell_each_other_what_was_found(value):
    """Airflow ends a triggerer, with all its triggers, for an event that its messages can't hold."""
    try:
        given_on = Found(value).within(MAX_XCOM_BYTES)
    except TooLargeError:
        return
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(given_on))
    assert told == given_on
    assert json.loads(json.dumps(given_on, allow_nan=False)) == given_on
    json.dumps(given_on, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "value", [1.5, 2**64 - 1, -(2**63), "ü 🚀", [1, {"a": [None, True]}], {"ts": "x", "value": 0}]
)
def test_what_airflow_can_take_is_given_on_as_it_is(value):
    assert Found(value).within(MAX_XCOM_BYTES) == value


def test_half_a_pair_and_numbers_past_all_bounds_are_replaced():
    odd = {"a\ud800b": "\udfff", "n": 10**20, "m": 10**400, "x": float("nan")}
    assert Found(odd).within(MAX_XCOM_BYTES) == {"a\ufffdb": "\ufffd", "n": 1e20, "m": None, "x": None}
