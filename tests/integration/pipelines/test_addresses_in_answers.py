"""Addresses in the API's answers are data: nobody connects to them, however they are named."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from locus_stem.api.transport import DeadlineTransport
from locus_stem.demo.compare import Loaded
from locus_stem.pipelines.alert_sync import sync_alerts
from locus_stem.pipelines.slot import Turn
from support.plant import NOW

DAY = date(2025, 10, 26)
NAMES = (
    "link",
    "next",
    "href",
    "url",
    "host",
    "location",
    "webhook",
    "webhookConnId",
    "lake_uri",
    "lakeUri",
    "endpoint_url",
)


class Addressing(httpx.BaseTransport):
    """Before a sandbox: puts addresses into each object of an answer, and into its headers."""

    def __init__(self, base: str, address: str) -> None:
        self.real, self.address, self.objects = DeadlineTransport(base), address, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.real.handle_request(request)
        response.read()
        if response.status_code != 200 or request.url.path.endswith("/oauth/token"):
            return httpx.Response(response.status_code, content=response.content)
        headers = {
            "Location": self.address,
            "Link": f'<{self.address}>; rel="next"',
            "Refresh": f"0; url={self.address}",
        }
        return httpx.Response(200, headers=headers, json=self.addressed(json.loads(response.content)))

    def addressed(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.addressed(one) for one in value]
        if not isinstance(value, dict):
            return value
        self.objects += 1
        return {name: self.addressed(one) for name, one in value.items()} | dict.fromkeys(NAMES, self.address)

    def close(self) -> None:
        self.real.close()


def test_nobody_connects_to_an_address_that_locus_names(plant, trap):
    plant = plant(sites=3)
    transport = Addressing(plant.server.url, trap.url)
    plant.sending = {"transport": transport}
    plant.inventory()
    plant.backfill(DAY)
    with plant.client(now=lambda: NOW) as client:
        sync_alerts(plant.lake, 1, Turn(client), run="run", now=lambda: NOW)
    assert transport.objects > 100
    assert trap.connections == 0
    for table in ("locus_sites", "locus_alerts"):
        assert set(plant.lake.read(table).column("lake_uri").to_pylist()) == {trap.url}
    after = datetime(2030, 1, 1, tzinfo=UTC)
    assert (
        plant.differences(Loaded("site", "hourly", DAY - timedelta(days=7), DAY + timedelta(days=1), after))
        == []
    )


def test_nobody_connects_to_an_address_that_stem_names(storage, trap):
    storage = storage()
    transport = Addressing(storage.server.url, trap.url)
    storage.sending = {"transport": transport}
    storage.run()
    assert transport.objects > 100
    assert trap.connections == 0
    assert set(storage.lake.read("stem_sites").column("lake_uri").to_pylist()) == {trap.url}
    assert storage.differences() == []
