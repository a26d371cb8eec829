"""An inventory that takes several turns in the slot, or is killed, against the small part of the API that it asks."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import httpx
import pytest

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.pipelines import knowledge
from locus_stem.pipelines.inventory import refresh_inventory
from locus_stem.pipelines.slot import Turn
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import remove_staging

TODAY = date(2026, 5, 4)
SITES = range(1, 13)
DETAILS = 1 + 3 * len(SITES)  # what bulk data offers; three details of each site


class Api:
    """Lists one client and its sites, and gives each detail with the soiling that it has now."""

    def __init__(self) -> None:
        self.soiling = 95
        self.asked: Counter[str] = Counter()
        self.on_request = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v3")
        if path == "/oauth/token":
            return self._json({"access_token": "token", "token_type": "bearer", "expires_in": 3600})
        self.asked[path] += 1
        self.on_request()
        if path.endswith("/clients"):
            return self._json({"clients": [{"id": 5, "partnerId": 1, "tz": "UTC"}]})
        if path.endswith("/partners/1/sites"):
            sites = [{"id": site, "clientId": 5, "name": str(self.soiling)} for site in SITES]
            return self._json({"sites": sites})
        if path.endswith("/components"):
            return self._json({"components": []})
        if path.endswith("/modelsettings"):
            return self._json({"soiling": self.soiling})
        return self._json({"baseFields": []} if path.endswith("/dataavailable") else {"installer": "ABC"})

    def _json(self, answer: dict) -> httpx.Response:
        return httpx.Response(200, content=json.dumps({"statusCode": 200, **answer}))


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def lake(tmp_path):
    return Lake(f"file://{tmp_path}")


@pytest.fixture
def refresh(api, lake):
    def run(scope: str, requests: int | None = None):
        credentials = LocusCredentials(host="https://api.example.com", client_id="id", client_secret="secret")
        with LocusClient(credentials, transport=httpx.MockTransport(api)) as client:
            turn = Turn(client)
            if requests is not None:
                last = sum(api.asked.values()) + requests

                def end_turn() -> None:
                    if sum(api.asked.values()) >= last:
                        turn.seconds = 0.0

                api.on_request = end_turn
            return refresh_inventory(lake, 1, TODAY, turn, detail_max_age_days=0, run_scope=scope)

    return run


def soiling(lake):
    return Counter(row["soiling"] for row in lake.read("locus_model_settings").to_pylist())


def test_a_second_run_of_the_day_asks_every_detail_again_however_many_turns_it_takes(api, lake, refresh):
    assert refresh("morning").left == []
    api.soiling = 80
    api.asked.clear()
    turns = 1
    while refresh("noon", requests=12).left:
        turns += 1
    assert turns > 1
    assert soiling(lake) == {80: len(SITES)}
    assert set(api.asked.values()) == {1}
    assert len(api.asked) == 3 + DETAILS


def test_a_run_whose_staging_is_gone_asks_again(api, lake, refresh):
    assert refresh("noon").left == []
    remove_staging(lake, "noon")
    api.soiling = 80
    assert refresh("noon").left == []
    assert soiling(lake) == {80: len(SITES)}
    assert set(api.asked.values()) == {2}


def test_a_try_that_is_killed_keeps_the_details_that_it_had_before_the_last_ten_seconds(
    api, lake, refresh, monkeypatch
):
    monkeypatch.setattr(knowledge, "COMMIT_SECONDS", 0.0)  # each answer is older than that
    rows = []
    api.on_request = lambda: rows.append(lake.read("coverage").num_rows if sum(api.asked.values()) > 6 else 0)
    assert refresh("noon").left == []
    assert len(rows) == 3 + DETAILS
    # A few answers may wait for their commit while the next are asked for.
    assert all(kept >= place - 5 for place, kept in enumerate(rows) if kept)
    assert rows[-1] > DETAILS - 5
