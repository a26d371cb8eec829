from __future__ import annotations

from collections import Counter

import pytest

from locus_stem.sandbox.faults import Faults
from locus_stem.sandbox.options import RATE_FAULTS, Fault, Options


def drawn(options, requests, api="locus"):
    faults = Faults(options)
    return [faults.draw(api, request) for request in requests]


def test_without_faults_nothing_is_hit():
    assert set(drawn(Options(), [f"GET /{n}" for n in range(100)])) == {None}


def test_a_rate_is_kept_over_many_requests():
    hits = drawn(Options(faults=(Fault("503", 0.2),)), [f"GET /{n}" for n in range(4000)])
    assert Counter(hits)["503"] == pytest.approx(800, rel=0.1)


def test_no_kind_goes_before_others_where_all_together_leave_hardly_a_request():
    kinds = [kind for kind in RATE_FAULTS if kind not in {"refresh-without-refresh-token", "refresh-refused"}]
    options = Options(faults=tuple(Fault(kind, 0.2) for kind in kinds))
    hits = Counter(drawn(options, [f"GET /{n}" for n in range(18_000)]))
    assert all(hits[kind] == pytest.approx(1000, rel=0.15) for kind in kinds), hits


def test_the_seed_decides_which_requests_are_hit():
    requests = [f"GET /{n}" for n in range(200)]
    faults = (Fault("503", 0.3), Fault("reset", 0.1))
    same = drawn(Options(faults=faults, fault_seed=3), requests)
    assert same == drawn(Options(faults=faults, fault_seed=3), requests)
    assert same != drawn(Options(faults=faults, fault_seed=4), requests)


@pytest.mark.parametrize("streak", [1, 2, 5])
def test_a_request_is_let_through_after_the_streak_even_at_full_rate(streak):
    options = Options(faults=(Fault("503", 1.0),), fault_streak=streak)
    hits = drawn(options, ["GET /same"] * 3 * (streak + 1))
    assert hits == [*["503"] * streak, None] * 3


def test_kinds_without_meaning_for_an_api_do_not_hit_it():
    options = Options(faults=(Fault("401", 1.0), Fault("refresh-refused", 1.0)))
    assert drawn(options, ["GET /a"], "stem") == [None]
    assert drawn(options, ["POST /oauth/token"], "token") == [None]
    assert drawn(options, ["POST /oauth/token"], "refresh") == ["refresh-refused"]
    assert drawn(options, ["GET /a"], "locus") == ["401"]


@pytest.mark.parametrize(
    "text", ["503", "503=2", "503=-0.1", "503=x", "earthquake=0.5", "forbidden=", "forbidden"]
)
def test_a_fault_that_cannot_be_read_is_refused_with_what_is_allowed(text):
    with pytest.raises(ValueError, match=r"KIND=RATE|from 0 to 1"):
        Fault.parse(text)


def test_faults_are_read_with_their_rate_or_target():
    assert Fault.parse("503=0.25") == Fault("503", 0.25)
    assert Fault.parse("gone=3000001") == Fault("gone", target="3000001")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("end", "open"),
        ("offset", "left"),
        ("utc_suffix", "UTC"),
        ("stem_shift", "twice"),
        ("field_parameters", "x"),
    ],
)
def test_an_option_with_an_unknown_value_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Options(**{name: value})


def test_options_show_no_secret():
    assert "secret" not in repr(Options().accepted).replace("client_secret", "")
    assert "sandbox-key" not in repr(Options())
