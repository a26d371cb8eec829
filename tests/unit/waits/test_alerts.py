"""When a partner's, a site's or a component's alerts are asked for, and which of the answers' are meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.answer import Answer
from locus_stem.api.errors import MalformedAnswerError
from locus_stem.api.locus import LocusEndpoints
from locus_stem.waits.alerts import AlertWait
from locus_stem.waits.instant import CLOCKS_DIFFER, on_the_servers_clock
from locus_stem.waits.wait import UnanswerableError

NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CALL = LocusEndpoints.get_site_alerts.request(site_id=1, tz="UTC")


def waiting(since, **settings):
    return AlertWait.read(since=since, **({"partner_id": 1} | settings))


def instant(text):
    return datetime.fromisoformat(f"{text}+00:00")


@given(
    ago=st.timedeltas(timedelta(0), timedelta(days=372)),
    skew=st.timedeltas(-30 * MINUTE, 30 * MINUTE),
)
def test_a_partners_requests_keep_to_the_limits_of_a_differing_server_and_leave_no_hole(ago, skew):
    since, servers_now = NOW - ago, NOW + skew
    calls = [call.arguments for call in waiting(since).calls(NOW)]
    if "updated_since" in calls[0]:
        assert len(calls) == 1
        asked = instant(calls[0]["updated_since"])
        assert servers_now - asked <= 7 * DAY
        assert asked <= since - abs(skew)
        return
    assert len(calls) <= ago // (31 * DAY) + 2
    periods = [(instant(one["open_during_min"]), instant(one["open_during_max"])) for one in calls]
    assert periods[0][0] <= since - HOUR
    assert periods[-1][1] + timedelta(seconds=1) > servers_now
    assert all(last - first <= 31 * DAY for first, last in periods)
    assert all(before[1] == after[0] for before, after in pairwise(periods))


@pytest.mark.parametrize("ago", [HOUR, 8 * DAY, 400 * DAY])
def test_a_sites_and_a_components_look_is_one_request_however_long_ago(ago):
    for entity in ({"site_id": 5}, {"component_id": 6}):
        (call,) = waiting(NOW - ago, partner_id=None, **entity).calls(NOW)
        assert instant(call.arguments["updated_since"]) == NOW - ago - CLOCKS_DIFFER


def answer(*alerts, ahead=timedelta(0)):
    return Answer(list(alerts), NOW, NOW + ahead, CALL)


def alert(start, updated, end=None, **more):
    written = {"id": 1, "alertType": "Device Fault", "priority": "High"} | more
    for name, value in (("start", start), ("updated", updated), ("end", end)):
        if value is not None:
            written[name] = value.strftime("%Y-%m-%dT%H:%M:%S-00:00")
    return written


@pytest.mark.parametrize(
    ("state", "started", "updated", "ended", "meant"),
    [
        ("opened", 5 * MINUTE, 5 * MINUTE, None, True),
        ("opened", -30 * MINUTE, 5 * MINUTE, None, True),  # shown late
        ("opened", -2 * HOUR, 5 * MINUTE, None, False),  # raised, not opened
        ("opened", -30 * MINUTE, -MINUTE, None, False),  # was there before
        ("opened", 5 * MINUTE, 9 * MINUTE, 8 * MINUTE, True),  # opened and closed between two looks
        ("closed", -DAY, 9 * MINUTE, 8 * MINUTE, True),
        ("closed", -DAY, 9 * MINUTE, None, False),
        ("closed", -DAY, -MINUTE, -4 * MINUTE, False),
    ],
)
def test_an_alert_is_meant_by_when_it_opened_or_closed_and_was_updated(state, started, updated, ended, meant):
    since = NOW - HOUR
    one = alert(since + started, since + updated, None if ended is None else since + ended)
    assert bool(waiting(since, state=state).matching(answer(one))) is meant


def test_free_text_of_the_answer_is_compared_without_regard_to_case_and_unknown_text_is_no_error():
    one = alert(NOW, NOW, priority="high", alertType="Performance Yield")
    assert waiting(NOW, priority="HIGH").matching(answer(one)) == [one]
    assert waiting(NOW, alert_type="Device Fault").matching(answer(one)) == []


def test_a_time_that_cannot_be_read_is_a_malformed_answer():
    with pytest.raises(MalformedAnswerError, match=r"a time in the answer is text of 4 character\(s\)"):
        waiting(NOW).matching(answer({"start": "soon", "updated": "2025-10-01T00:00:00Z"}))


@given(st.timedeltas(-5 * HOUR, 5 * HOUR))
def test_a_servers_clock_is_followed_within_the_hour_and_not_beyond(ahead):
    shifted = on_the_servers_clock(NOW, answer(ahead=ahead))
    assert shifted == (NOW + ahead if MINUTE <= abs(ahead) <= HOUR else NOW)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"alert_type": "Device Flaut"},
            "alert_type: 'Device Flaut' is refused; allowed: one or more of Device Fault",
        ),
        ({"priority": ["urgent"]}, r"priority: \['urgent'\] is refused; allowed: one or more of high"),
        ({"state": "open"}, "state: 'open' is refused; allowed: one of opened, closed"),
        ({"site_id": 3}, "partner_id=1, site_id=3 is refused; allowed: exactly one of"),
        ({"partner_id": "one"}, "partner_id: 'one' is refused; allowed: a whole number"),
        (
            {"since": "2025-10-01T00:00:00"},
            "since: '2025-10-01T00:00:00' is refused; allowed: an instant with its zone",
        ),
        ({"since": "tomorrow"}, "since: 'tomorrow' is refused"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        AlertWait.read(**({"partner_id": 1, "since": NOW} | settings))


def test_a_partners_look_is_bounded_and_says_what_to_name_instead():
    with pytest.raises(UnanswerableError, match="at most 372 days back; name a site"):
        list(waiting(NOW - timedelta(days=373)).calls(NOW))
    assert len(list(waiting(NOW - timedelta(days=373), partner_id=None, site_id=3).calls(NOW))) == 1
