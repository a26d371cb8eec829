from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from locus_stem.api import LocusClient, LocusCredentials, LocusEndpoints
from locus_stem.pipelines.failing import failing_still, failures, fruitless

BEGAN = datetime(2025, 10, 27, tzinfo=UTC)


def part(seconds, failed=(), answered=(), refused=()):
    began = BEGAN + timedelta(seconds=seconds)
    usage = {
        "requests": 1, "by_status": {}, "retries": 0, "api_seconds": 1.0,
        "started": began.isoformat(), "ended": (began + timedelta(seconds=100)).isoformat(),
    }  # fmt: skip
    return {
        "answered": list(answered), "refused": dict.fromkeys(refused, "HTTP 403"), "refused_fields": [],
        "failed": {str(entity): f"at {seconds}" for entity in failed}, "usage": usage,
    }  # fmt: skip


def test_only_the_last_parts_in_a_row_that_brought_nothing_count():
    parts = [
        part(0, failed=[1]),
        part(100, answered=[{}], failed=[2]),
        part(200, failed=[3]),
        part(300, failed=[3, 4]),
    ]
    used, failed = fruitless(parts)
    assert used.wall_seconds == 200
    assert failed == {3: "at 300", 4: "at 300"}


def test_a_refusal_is_a_result_too():
    used, failed = fruitless([part(0, failed=[1]), part(100, refused=["2"])])
    assert (used.wall_seconds, failed) == (0, {})


def test_failures_are_counted_by_entity_and_parts_of_an_older_version_have_none():
    older = part(0)
    del older["failed"]
    assert failures([older, part(100, failed=[1]), part(200, failed=[1, 2])]) == {1: 2, 2: 1}
    assert fruitless([older])[1] == {}


def test_what_is_answered_at_last_when_it_is_asked_once_more_does_not_fail_still():
    left = {7: [httpx.Response(503)]}

    def serve(request):
        site = int(request.url.path.rpartition("/")[2])
        if site == 6:
            return httpx.Response(500)
        return left[site].pop() if left.get(site) else httpx.Response(200, json={"id": site})

    calls = [LocusEndpoints.get_site.request(site_id=number) for number in (5, 6, 7)]
    credentials = LocusCredentials(grant_type="bearer", password="x")
    with LocusClient(credentials, transport=httpx.MockTransport(serve)) as client:
        failing = failing_still(client, calls)
    assert {call.arguments["site_id"] for call in failing} == {6}
    assert left == {7: []}
