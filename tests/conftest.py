"""An Airflow home of its own for the whole test run, set before anything imports Airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

DAGS = Path(__file__).parents[1] / "dags"

for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
home = tempfile.mkdtemp(prefix="airflow-tests-")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": home,
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


def pytest_addoption(parser):
    parser.addoption(
        "--faults",
        choices=("pairs", "all"),
        default="pairs",
        help="run each pair of a fault and a pipeline once, or all cells of the matrix of faults (pairs)",
    )
