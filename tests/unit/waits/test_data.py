"""Which interval is asked for, and answers that can't be read, without a server."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.answer import Answer
from locus_stem.api.errors import MalformedAnswerError
from locus_stem.waits.available import FieldsWait, StreamStartWait
from locus_stem.waits.data import DataWait, StreamWait

NOW = datetime(2025, 10, 1, tzinfo=UTC)
STEPS = {"1min": 1, "5min": 5, "15min": 15, "hourly": 60}
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def asked(wait, now):
    return next(wait.look(now), None)


def answered(wait, payload, now=NOW):
    looking = wait.look(now)
    call = next(looking)
    try:
        looking.send(Answer(payload, now, now, call))
    except StopIteration as stop:
        return stop.value
    return None


@given(
    until=INSTANTS,
    granularity=st.sampled_from(sorted(STEPS)),
    later=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_a_look_asks_for_the_interval_that_holds_the_instant_and_only_for_what_is_over(
    until, granularity, later
):
    step = timedelta(minutes=STEPS[granularity])
    wait = DataWait.read(site_id=1, fields="W_avg", until=until, granularity=granularity)
    now = until + later
    call = asked(wait, now)
    if call is None:
        assert later < step
        return
    first, last = (datetime.fromisoformat(f"{call.arguments[name]}+00:00") for name in ("start", "end"))
    assert first < until <= first + step <= now
    assert last < now
    assert last - first < timedelta(days=1) + 2 * step
    assert call.arguments["tz"] == "UTC"


@given(
    until=INSTANTS,
    resolution=st.sampled_from([900, 1800, 3600]),
    later=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_a_streams_look_is_two_resolutions_wider_on_each_side_and_never_past_now(until, resolution, later):
    step, now = timedelta(seconds=resolution), until + later
    call = asked(StreamWait.read(site_id="a", until=until, resolution=resolution), now)
    if call is None:
        assert later < step
        return
    first, last = (datetime.fromisoformat(call.arguments[name]) for name in ("start", "end"))
    assert first + 2 * step < until <= first + 3 * step <= now
    assert last <= now
    assert last <= first + 5 * step + timedelta(days=1)


@pytest.mark.parametrize(
    ("wait", "payload"),
    [
        (DataWait.read(site_id=1, fields="W", until=NOW), [{"id": 1, "ts": "noon", "W": 1}]),
        (
            DataWait.read(site_id=1, fields="W", until=NOW),
            [{"id": 1, "ts": "2025-10-01T00:00:00Z", "W": "1"}],
        ),
        *(
            (
                DataWait.read(site_id=1, fields="W", until=NOW),
                [{"id": 1, "ts": "2025-09-30T23:00:00Z", "W": value}],
            )
            for value in (10**400, -(10**4000), float("inf"), float("nan"), True)
        ),
        (DataWait.read(component_id=1, fields="W", until=NOW), [{"id": 1, "W": 1}]),
        (DataWait.read(component_id=1, fields="W", until=NOW), [{"id": 1.0, "ts": "2025-09-30T23:00:00Z"}]),
        *(
            (DataWait.read(component_id=1, fields="W", until=NOW, granularity="daily"), {"id": 1, **site})
            for site in ({}, {"siteId": None}, {"siteId": ""}, {"siteId": "s3cret"}, {"siteId": 10**18})
        ),
        (FieldsWait.read(site_id=1, fields="W"), [{"aggregations": 3}]),
        (FieldsWait.read(site_id=1, fields="W"), [{"aggregations": ["W"]}]),
        (StreamStartWait.read(site_id="a"), {"stream_start_times": ["MONITOR"]}),
        (StreamStartWait.read(site_id="a"), {"stream_start_times": {"MONITOR": "once"}}),
        (StreamWait.read(site_id="a", until=NOW), [{"stream_type": "MONITOR"}]),
        (
            StreamWait.read(site_id="a", until=NOW),
            [
                {
                    "stream_type": "MONITOR",
                    "streams": [{"end_datetime": "2025-10-01T00:00:00Z", "kw_total_avg": True}],
                }
            ],
        ),
    ],
)
def test_what_cannot_be_read_is_a_malformed_answer_to_be_asked_again(wait, payload):
    with pytest.raises(MalformedAnswerError, match="in the answer is") as caught:
        answered(wait, payload, NOW + timedelta(days=2))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_zero_is_a_value_and_rows_of_another_id_are_not_the_entitys():
    wait = DataWait.read(site_id=1, fields=["W"], until=NOW)
    row = {"id": 1, "ts": "2025-09-30T23:00:00Z", "W": 0}
    assert answered(wait, [row]).value == {"W": {"ts": "2025-09-30T23:00:00+00:00", "value": 0}}
    assert answered(wait, [{**row, "id": 2}]) is None
    assert answered(wait, [{**row, "W": None}]) is None
    assert answered(wait, [{**row, "ts": "2025-09-30T22:00:00Z"}]) is None
    assert answered(wait, [{**row, "ts": "2025-10-01T00:00:00Z"}]) is None  # not over yet


def test_a_field_without_aggregations_is_not_invented():
    wait = FieldsWait.read(site_id=1, fields="A_avg")
    assert answered(wait, [{"baseField": "A", "granularities": ["hourly"]}]) is None


@pytest.mark.parametrize(
    ("kind", "given_settings", "message"),
    [
        (
            DataWait,
            {"fields": "W", "until": NOW},
            "nothing is refused; allowed: exactly one of site_id, component_id",
        ),
        (DataWait, {"site_id": 1, "fields": [], "until": NOW}, r"fields: \[\] is refused"),
        (
            DataWait,
            {"site_id": 1, "fields": "W", "until": NOW, "granularity": "latest"},
            "granularity: 'latest' is refused; allowed: one of 1min",
        ),
        (DataWait, {"site_id": 1, "fields": "W", "until": None}, "until: None is refused"),
        (FieldsWait, {"fields": "W", "granularity": "2min"}, "granularity: '2min' is refused"),
        (StreamWait, {"site_id": "a", "until": NOW, "resolution": 60}, "resolution: '60' is refused"),
        (StreamWait, {"site_id": " ", "until": NOW}, "site_id: ' ' is refused"),
        (StreamStartWait, {"site_id": "a", "stream_type": "METER"}, "stream_type: 'METER' is refused"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(kind, given_settings, message):
    with pytest.raises(ValueError, match=message):
        kind.read(**given_settings)
