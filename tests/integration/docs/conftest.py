from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "provider" / "docs" / "examples"


@pytest.fixture(scope="session")
def database():
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The sandbox, its connections, and a lake of its own."""
    with Server(Fleet(sites=4), Options()) as running:
        for conn_id, connection in sandbox_connections(running.url).items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"file://{tmp_path}/lake")
        yield running


@pytest.fixture
def dags_folder(monkeypatch):
    """Make a folder Airflow's DAGs folder, in which mapped tasks find their DAG."""

    def make(folder):
        bundle = {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))

    return make


@pytest.fixture
def example_bundle(dags_folder):
    """The folder of examples as Airflow's DAGs folder."""
    dags_folder(EXAMPLES)
