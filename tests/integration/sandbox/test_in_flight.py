"""One request at a time, and how the server measures that it was busy."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

PATH = "/v3/partners/1/clients"
MONTH = {
    "start": "2025-01-01T00:00:00",
    "end": "2025-01-31T23:59:59",
    "tz": "UTC",
    "gran": "15min",
    "fields": "W_avg,W_max,Wh_sum",
}


def together(plant, count, path=PATH, key="Bearer sandbox-token"):
    barrier = threading.Barrier(count)

    def one(_):
        with httpx.Client(base_url=plant.server.url, timeout=10) as client:
            barrier.wait()
            return client.get(path, headers={"Authorization": key}).status_code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


@pytest.mark.parametrize("limit", [1, 3])
def test_more_requests_than_allowed_at_a_time_are_429(serve, limit):
    plant = serve(latency_ms=500, concurrency=limit)
    assert together(plant, 5) == {200: limit, 429: 5 - limit}
    assert plant.server.stats()["max_in_flight"]["locus"] == limit + 1


def test_stem_has_a_limit_of_its_own(serve):
    plant = serve(latency_ms=500, stem_concurrency=2)
    assert together(plant, 4, "/api/v1/clients", "APIKEY sandbox-key") == {200: 2, 429: 2}


def test_a_client_that_asks_one_after_the_other_never_meets_a_429(serve):
    plant = serve()
    statuses = Counter(plant.site_data(**MONTH).status_code for _ in range(150))
    statuses += Counter(plant.get(PATH).status_code for _ in range(150))
    assert statuses == {200: 300}
    assert plant.server.stats()["max_in_flight"]["locus"] == 1


def test_latency_is_the_whole_time_of_an_answer(serve):
    plant = serve(latency_ms=100)
    plant.get(PATH)
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        plant.site_data(**MONTH)
        took.append(time.perf_counter() - begun)
    assert 0.1 <= min(took) < 0.2


def test_busy_time_runs_from_arrival_to_the_last_byte(serve):
    plant = serve(latency_ms=50)
    for _ in range(4):
        plant.get(PATH)
        time.sleep(0.25)
    stats = plant.client.get("/_sandbox/stats").json()
    assert 0.2 <= stats["busy_seconds"] < 0.6
    assert stats["span_seconds"] >= 0.95
    assert stats["busy_share"] == pytest.approx(stats["busy_seconds"] / stats["span_seconds"], abs=1e-5)


def test_a_client_without_pauses_keeps_the_server_busy(serve):
    plant = serve(latency_ms=50)
    for _ in range(20):
        plant.get(PATH)
    assert plant.client.get("/_sandbox/stats").json()["busy_share"] > 0.9


def test_a_reset_forgets_the_log_but_not_the_tokens(serve):
    plant = serve()
    plant.get(PATH)
    assert len(plant.client.get("/_sandbox/log").json()) == 1
    plant.client.post("/_sandbox/reset")
    assert plant.client.get("/_sandbox/log").json() == []
    assert plant.get(PATH).status_code == 200


def test_the_log_tells_what_was_asked_and_when(serve):
    plant = serve(latency_ms=20)
    plant.site_data(**MONTH)
    (entry,) = plant.client.get("/_sandbox/log").json()
    assert entry["path"] == "/v3/sites/3000001/data"
    assert "gran=15min" in entry["query"]
    assert (entry["api"], entry["method"], entry["status"], entry["in_flight"]) == ("locus", "GET", 200, 1)
    assert entry["finished"] - entry["arrived"] >= 0.02
    assert entry["bytes_sent"] > 10_000


def test_an_unknown_control_is_404(plant):
    assert plant.client.get("/_sandbox/nothing").status_code == 404
