"""What tests share: Airflow's folder of DAGs, and an address to which nobody may connect."""

from __future__ import annotations

import json

import pytest

from support.echoing import Trap


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
def trap():
    with Trap() as running:
        yield running
