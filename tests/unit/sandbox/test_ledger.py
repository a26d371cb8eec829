from __future__ import annotations

import pytest

from locus_stem.sandbox.application import logged_query
from locus_stem.sandbox.ledger import Ledger, Served


def served(arrived, finished, **kwargs):
    return Served(
        "locus", "GET", "/v3/sites/1/data", "", arrived, in_flight=1, finished=finished, status=200, **kwargs
    )


def test_time_that_two_requests_share_is_busy_once():
    ledger = Ledger()
    ledger.served = [served(0.0, 2.0), served(1.0, 3.0), served(1.5, 1.6), served(5.0, 6.0)]
    stats = ledger.stats()
    assert stats["busy_seconds"] == pytest.approx(4.0)
    assert stats["span_seconds"] == pytest.approx(6.0)
    assert stats["busy_share"] == pytest.approx(4 / 6, abs=1e-6)
    assert stats["data_requests"] == 4


def test_a_request_that_is_not_over_counts_as_a_request_but_not_as_busy():
    ledger = Ledger()
    ledger.served = [served(0.0, None)]
    assert ledger.stats()["requests"] == 1
    assert ledger.stats()["busy_seconds"] == 0


def test_an_empty_ledger_has_figures_too():
    assert Ledger().stats()["busy_share"] == 0


def test_what_looks_like_a_secret_is_not_logged():
    assert logged_query([("tz", "UTC"), ("access_token", "abc"), ("Password", "x")]) == (
        "tz=UTC&access_token=***&Password=***"
    )
