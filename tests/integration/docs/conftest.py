from __future__ import annotations

import json
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "provider" / "docs" / "examples"


@pytest.fixture
def server(request, monkeypatch, tmp_path):
    """The sandbox, its connections, and a lake of its own."""
    sites = getattr(request, "param", 4)
    with Server(Fleet(sites=sites), Options()) as running:
        for conn_id, connection in sandbox_connections(running.url).items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"file://{tmp_path}/lake")
        yield running


@pytest.fixture
def example_bundle(dags_folder):
    """The folder of examples as Airflow's DAGs folder."""
    dags_folder(EXAMPLES)
