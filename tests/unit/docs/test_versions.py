"""What is said about versions is the same wherever it is said."""

from __future__ import annotations

import configparser
import json
import os
import re
from importlib.metadata import distributions

import pytest
from packaging.specifiers import SpecifierSet

from support.versions import IMPOSSIBLE, ROOT, airflows, combinations, pythons

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def test_the_classifiers_name_every_python_that_the_package_may_be_installed_on():
    wanted = SpecifierSet(SETUP["options"]["python_requires"])
    assert pythons() == [f"3.{minor}" for minor in range(40) if f"3.{minor}" in wanted]


def test_readme_and_makefile_name_the_first_and_the_last_python():
    first, last = pythons()[0], pythons()[-1]
    assert f"Python {first} to {last}" in (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    after = f"{last.partition('.')[0]}, {int(last.partition('.')[2]) + 1}"
    assert f"({first.replace('.', ', ')}) <= v < ({after})" in makefile
    assert f"Python {first} to {last} is needed" in makefile


def test_constraints_pin_the_oldest_airflow_that_is_tested_and_the_newest():
    oldest, *_, newest = sorted(airflows(), key=lambda version: tuple(map(int, version.split("."))))
    (needed,) = re.findall(r"^apache-airflow(>=.+)$", SETUP["options"]["install_requires"], re.MULTILINE)
    assert oldest.startswith(needed.removeprefix(">="))
    assert airflows()[newest] == ROOT / "constraints.txt"
    for version, file in airflows().items():
        pins = dict(line.split("==") for line in file.read_text().split())
        assert pins["apache-airflow-core"] == version
        assert file.name in {"constraints.txt", f"constraints-{version}.txt"}
    index = (ROOT / "provider" / "docs" / "index.rst").read_text()
    assert f"tested on {oldest} and on the newest {newest.rpartition('.')[0]}" in index


def test_no_pinned_library_refuses_the_first_release_of_the_oldest_python():
    releases = [f"{pythons()[0]}.{patch}" for patch in range(30)]
    refusing = {}
    for one in distributions():
        allowed = one.metadata.get("Requires-Python") or ""
        # what takes none of them is a library for later Pythons alone
        if releases[0] not in SpecifierSet(allowed) and any(SpecifierSet(allowed).filter(releases)):
            refusing[one.name] = allowed
    assert refusing == {}


def test_what_does_not_exist_together_is_a_combination_of_what_is_supported_with_its_reason():
    for (python, airflow), reason in IMPOSSIBLE.items():
        assert python in pythons()
        assert airflow in airflows()
        assert reason
    assert len(combinations()) == len(pythons()) * len(airflows()) - len(IMPOSSIBLE)


def test_continuous_integration_runs_both_corners():
    script = (ROOT / ".ci" / "run").read_text()
    oldest = next(iter(airflows()))
    (old,) = re.findall(r"^oldest=\((.*)\)$", script, re.MULTILINE)
    (new,) = re.findall(r"^newest=\((.*)\)$", script, re.MULTILINE)
    assert f"CONSTRAINTS=tests/{airflows()[oldest].name}" in old
    assert f"python_old=$(find_python {pythons()[0]})" in script
    assert f"python_new=$(find_python {pythons()[-1]})" in script
    assert "PYTHON=$python_old" in old
    assert "PYTHON=$python_new" in new
    assert "CONSTRAINTS" not in new


@pytest.mark.skipif("TEST_MATRIX" in os.environ, reason="the matrix is being made")
def test_every_supported_combination_has_run_the_whole_suite_without_a_failure():
    held = json.loads((ROOT / "provider" / "docs" / "results" / "matrix.json").read_text())
    rows = [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]]
    assert [(row["python"], row["airflow"]) for row in rows] == combinations()
    for row in rows:
        assert row["failed"] == 0, row
        assert row["passed"] > 2000 > 20 * row["skipped"], row
