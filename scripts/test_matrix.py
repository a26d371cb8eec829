"""Run the whole suite on every supported Python and Airflow, and keep the results where the documentation shows them.

`make test-matrix` runs all; `make test-matrix ONLY=3.12/3.1.8` runs one and keeps the other results as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from find_python import find_python

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "matrix"
sys.path.insert(0, str(ROOT / "tests"))

from support import results  # noqa: E402
from support.versions import airflows, combinations  # noqa: E402

COLUMNS = ("python", "airflow", "passed", "failed", "skipped", "seconds", "date")


@dataclass(frozen=True, slots=True)
class Combination:
    """A Python and an Airflow that the package supports."""

    python: str
    airflow: str

    def __str__(self) -> str:
        """Write it as `ONLY` names it."""
        return f"{self.python}/{self.airflow}"

    def tested(self, interpreter: str, pytest_args: str) -> dict[str, Any]:
        """Make an environment, run the suite in it and give a line of the results.

        :raises RuntimeError: the suite didn't come to its end.
        """
        name = f"{self.python}-{self.airflow}"
        environment, report = FOLDER / name, FOLDER / f"{name}.xml"
        report.unlink(missing_ok=True)
        settings = {
            "PYTHON": interpreter,
            "VENV": str(environment),
            "CONSTRAINTS": str(airflows()[self.airflow]),
            "EXTRAS": "sandbox,test",
            "COVERAGE": "",
            "PYTEST_ARGS": f"--quiet --junitxml={report} {pytest_args}",
        }
        command = [
            "make",
            "--no-print-directory",
            "test",
            *(f"{key}={value}" for key, value in settings.items()),
        ]
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "TEST_MATRIX": str(self)})  # noqa: S603
        if not report.exists():
            raise RuntimeError(f"{self}: the suite did not come to its end")
        shutil.rmtree(environment)
        (suite,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314
        count = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
        failed = count["failures"] + count["errors"]
        return {
            "python": self.python,
            "airflow": self.airflow,
            "passed": count["tests"] - failed - count["skipped"],
            "failed": failed,
            "skipped": count["skipped"],
            "seconds": round(float(suite.attrib["time"])),
            "date": datetime.now(UTC).date().isoformat(),
        }


def kept() -> dict[str, dict[str, Any]]:
    """Give the results there are, of combinations that are still supported."""
    file = results.results_file("matrix")
    held = json.loads(file.read_text()) if file.exists() else {"columns": COLUMNS, "rows": []}
    rows = [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]]
    return {f"{row['python']}/{row['airflow']}": row for row in rows}


def keep(rows: dict[str, dict[str, Any]], wanted: list[Combination]) -> None:
    """Write the results, in the order of what is supported."""
    ordered = [rows[str(one)] for one in wanted if str(one) in rows]
    results.write_results(
        "matrix",
        COLUMNS,
        [[row[name] for name in COLUMNS] for row in ordered],
        python=", ".join(dict.fromkeys(row["python"] for row in ordered)),
        airflow=", ".join(dict.fromkeys(row["airflow"] for row in ordered)),
    )


def main() -> int:
    """Run what is asked for; give 1 if a test failed."""
    supported = [Combination(*pair) for pair in combinations()]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pytest-args", default="", help="a part of the suite: its results are shown, not kept"
    )
    parser.add_argument("only", nargs="*", choices=[[], *map(str, supported)], help="all, if none is named")
    args = parser.parse_args()
    chosen = [one for one in supported if str(one) in (args.only or map(str, supported))]
    interpreters = {one.python: find_python(one.python) for one in chosen}
    missing = [version for version, path in interpreters.items() if path is None]
    if missing:
        sys.exit(
            f"This machine has no Python {', '.join(missing)}: install it, or name what to run with ONLY."
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = kept()
    for one in chosen:
        print(f"Python {one.python}, Airflow {one.airflow}", flush=True)
        rows[str(one)] = one.tested(str(interpreters[one.python]), args.pytest_args)
        if not args.pytest_args:
            keep(rows, supported)
    for one in chosen:
        print(", ".join(f"{name} {rows[str(one)][name]}" for name in COLUMNS))
    return int(any(rows[str(one)]["failed"] for one in chosen))


if __name__ == "__main__":
    sys.exit(main())
