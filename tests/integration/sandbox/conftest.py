"""A sandbox on a real socket and a plain HTTP client, as any user of the APIs would have."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import httpx
import pytest

from locus_stem.sandbox import Fault, Fleet, Options, Server

NOW = datetime(2025, 3, 1, 12, 7, tzinfo=UTC)


class Plant:
    """A server, its fleet and a client with the fixed bearer token."""

    def __init__(self, server, client):
        self.server = server
        self.fleet = server.fleet
        self.client = client

    def get(self, path, **query):
        return self.client.get(f"{path}?{urlencode(query)}" if query else path)

    def site_data(self, site_id=None, **query):
        return self.get(f"/v3/sites/{site_id or self.fleet.site_ids[0]}/data", **query)

    def component_data(self, component_id=None, **query):
        return self.get(f"/v3/components/{component_id or self.meter}/data", **query)

    @property
    def meter(self):
        return self.fleet.components(self.fleet.site_ids[0])[0].id

    def stem(self, path, **query):
        address = f"/api/v1/{path}?{urlencode(query)}" if query else f"/api/v1/{path}"
        return self.client.get(address, headers={"Authorization": "APIKEY sandbox-key"})

    def streams(self, site=0, **query):
        return self.stem(f"sites/{quote(self.fleet.stem.site_ids[site], safe='')}/streams", **query)


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    with ExitStack() as stack:

        def start(fleet=None, *, faults=(), **options):
            chosen = Options(faults=tuple(map(Fault.parse, faults)), **options)
            server = stack.enter_context(Server(fleet or Fleet(now=NOW), chosen))
            headers = {"Authorization": "Bearer sandbox-token"}
            client = stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=20))
            return Plant(server, client)

        yield start


@pytest.fixture(scope="module")
def plant():
    """One server with everything as it is by default."""
    with (
        Server(Fleet(now=NOW)) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": "Bearer sandbox-token"}, timeout=20
        ) as client,
    ):
        yield Plant(server, client)
