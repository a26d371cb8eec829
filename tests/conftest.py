"""What the whole suite shares: an Airflow home for each process, set before anything imports Airflow, and its database.

The suite runs in several processes (`pytest -n 4 --dist loadgroup`, which `make test` does). Tests of one module with a
real Airflow stay in one process, so that they share it; all others go to whichever process is free.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from support.examples import PROPERTY, TIMES, examples
from support.results import Collector, write_results

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

#: Tests that are not run again where they fail (`make test` does so with others, since some measure time): what they
#: look for may show in one run of many.
NEVER_AGAIN = re.compile(
    r"secrets|tests/faults|integration/kills|_model\.py"
    r"|test_(load_order|racing_writers|concurrent_loads|overlapping_runs|overtaken|lease)\.py"
)

#: Spellings of secrets that a process of the suite may have masked when a test begins.
MOST_MASKS = 100

settings.register_profile(
    "suite",
    derandomize=TIMES == 1,
    deadline=None,
    database=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


def pytest_make_parametrize_id(val):
    """Name what is compressed the same in every process: gzip writes the time into it."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


@pytest.hookimpl(tryfirst=True)  # xdist writes the groups that it finds into the tests' names
def pytest_collection_modifyitems(items):
    """Run one real Airflow at a time, in one process of the suite, and start with what takes longest."""
    for item in items:
        if item.get_closest_marker("system"):
            item.add_marker(pytest.mark.xdist_group("system"))
        if is_hypothesis_test(item.obj):
            item.user_properties.append((PROPERTY, True))
        if NEVER_AGAIN.search(item.path.as_posix()):
            item.add_marker(pytest.mark.flaky(reruns=0))
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


@pytest.fixture(scope="session")
def database(tmp_path_factory, worker_id):
    """Airflow's database in this process's home, migrated: made once, and copied to every other process."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    made = folder / "airflow.db"
    with (folder / "airflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            fresh = made.with_suffix(".fresh")
            migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
            address = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{fresh}"}
            subprocess.run(migrate, env={**os.environ, **address}, check=True, capture_output=True)
            fresh.rename(made)
    with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(f"{home}/airflow.db")) as target:
        source.backup(target)


def pytest_configure(config):
    if TIMES > 1 and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Properties(PROPERTY))


class Properties(Collector):
    """Writes down which properties have held, a line for each module, where all have."""

    def pytest_terminal_summary(self, terminalreporter):
        modules = {}
        for node, seconds in self.seconds.items():
            modules.setdefault(node.partition("::")[0].removeprefix("tests/unit/"), []).append(seconds)
        if self.has_all(terminalreporter):
            rows = [(module, len(took), round(sum(took))) for module, took in sorted(modules.items())]
            about = {"properties": len(self.values), "times the suite's examples": TIMES}
            write_results("models", ("module", "properties", "seconds"), rows, **about)


def pytest_addoption(parser):
    parser.addoption(
        "--faults",
        choices=("pairs", "all"),
        default="pairs",
        help="run each pair of a fault and a pipeline once, or all cells of the matrix of faults (pairs)",
    )


class _CompiledLate:
    """A pattern that is compiled when it is first used."""

    def __init__(self, pattern):
        self._pattern = pattern

    @cached_property
    def sub(self):
        return re.compile(self._pattern).sub


@pytest.fixture(autouse=True)
def quick_masks():
    """Save what Airflow's masking takes most of a suite's time for.

    It compiles one pattern of all secrets anew for each spelling that comes, and forgets none.
    """
    if masker := sys.modules.get("airflow.sdk._shared.secrets_masker.secrets_masker"):
        masker.re = SimpleNamespace(compile=_CompiledLate, escape=re.escape, sub=re.sub)
    yield
    if masker and len(masker._secrets_masker().patterns) > MOST_MASKS:
        masker._secrets_masker().reset_masker()
