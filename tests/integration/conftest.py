"""What tests share: Airflow's folder of DAGs, an environment without keys, an address to which nobody may connect."""

from __future__ import annotations

import json
import os

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


@pytest.fixture
def nothing_known(monkeypatch, tmp_path):
    """Let the environment hold no keys and no settings of AWS, whatever the machine's own holds."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
