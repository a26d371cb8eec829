from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locus_stem.api.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from locus_stem.waits.patience import GivenUpError, Later, judged

NOW = datetime(2025, 10, 1, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


def judge(error, failing_since=None, now=NOW, errors_for=HALF_AN_HOUR):
    return judged(error, failing_since=failing_since, now=now, errors_for=errors_for)


def test_the_first_error_of_a_row_begins_it_and_asks_to_look_later():
    assert judge(ServerError("HTTP 500", path="/v3")) == Later(NOW, 0.0)
    assert judge(TransportError("reset", retry_after=7.0), NOW - timedelta(minutes=5)) == Later(
        NOW - timedelta(minutes=5), 7.0
    )


@given(st.timedeltas(timedelta(0), timedelta(days=2)), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_a_row_of_errors_is_given_up_exactly_when_it_has_lasted_long_enough(lasted, allowed):
    error = ServerError("HTTP 503", path="/v3/x")
    if lasted < allowed:
        assert judge(error, NOW - lasted, errors_for=allowed).failing_since == NOW - lasted
    else:
        with pytest.raises(GivenUpError, match="errors_for") as given_up:
            judge(error, NOW - lasted, errors_for=allowed)
        assert str(error) in str(given_up.value)


def test_a_429_is_no_error_keeps_to_the_apis_delay_and_ends_the_row():
    long_ago = NOW - timedelta(days=1)
    assert judge(RateLimitedError("HTTP 429", retry_after=600.0), long_ago) == Later(None, 600.0)
    assert judge(RateLimitedError("HTTP 429"), long_ago) == Later(None, 0.0)


def test_a_delay_of_more_than_a_day_is_not_believed():
    assert judge(RateLimitedError("HTTP 429", retry_after=1e9)).wait == 86_400.0


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("field host"), AuthenticationError("refused"), NotFoundError("HTTP 404", path="/x")],
)
def test_what_another_look_cannot_mend_is_final(error):
    with pytest.raises(type(error)) as raised:
        judge(error)
    assert raised.value is error
