"""The DAGs' world: a lake of their own, and the connections of the module's sandbox."""

from __future__ import annotations

import json

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.tables.lake import Lake


@pytest.fixture
def connect(monkeypatch):
    """Give Airflow the connections of a sandbox."""

    def connected(server):
        for conn_id, connection in sandbox_connections(server.url).items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return connected


@pytest.fixture
def lake(tmp_path, monkeypatch, server, connect, database):
    connect(server)
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"file://{tmp_path}/lake")
    return Lake(f"file://{tmp_path}/lake")
