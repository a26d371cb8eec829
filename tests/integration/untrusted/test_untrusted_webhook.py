"""A webhook that answers what it likes: each post ends in time, with a verdict."""

from __future__ import annotations

import time

import pytest

from locus_stem.hooks import webhook
from locus_stem.hooks.webhook import Webhook
from locus_stem.pipelines.webhook_reply import Verdict
from support.evils import EVILS
from support.hostile import Honest, Hostile


@pytest.fixture(scope="module")
def hostile():
    with Hostile("", hits=lambda path: True) as made:
        made.honest = lambda *request: Honest(200, {}, b'{"data": [{"id": 1}]}')
        yield made


@pytest.mark.parametrize("evil", EVILS, ids=[evil.name for evil in EVILS])
def test_a_post_ends_in_time_with_a_verdict(hostile, monkeypatch, evil):
    monkeypatch.setenv(
        "AIRFLOW_CONN_HOSTILE",
        f"http://127.0.0.1:{hostile.url.rpartition(':')[2]}/?__extra__=%7B%22timeout%22%3A0.5%7D",
    )
    monkeypatch.setattr(webhook, "GRACE", 0.2)
    hostile.evil = evil.produce
    began = time.monotonic()
    with Webhook("hostile").check() as posting:
        reply = posting.post(b"{}", "key")
    assert isinstance(reply.verdict, Verdict)
    assert reply.reason.isprintable()
    assert len(reply.reason) < 200
    assert time.monotonic() - began < 10
