"""Results of suites that are too long for every change: kept as files, which the documentation shows."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parents[2] / "provider" / "docs" / "results"
BUILD = Path(__file__).parents[2] / "build"


def results_file(name: str) -> Path:
    """Name the file of a suite's results."""
    is_shown = any(f".. results:: {name}\n" in page.read_text() for page in FOLDER.parent.glob("*.rst"))
    return (FOLDER if is_shown else BUILD) / f"{name}.json"


def write_results(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **about: Any) -> Path:
    """Write a suite's results as ``provider/docs/results/{name}.json``; the directive ``results`` shows them.

    Where no page has that directive for them they are written into ``build``: the pages show all that they hold.

    :param columns: headings, in the table's order.
    :param rows: a line each, JSON values.
    :param about: further facts to be told above the table: text or numbers.
    """
    made: Mapping[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "airflow": version("apache-airflow-core"),
        **about,
    }
    file = results_file(name)
    file.parent.mkdir(exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(list(row))}" for row in rows)
    head = f'"about": {json.dumps(made)},\n  "columns": {json.dumps(list(columns))}'
    file.write_text(f'{{\n  {head},\n  "rows": [\n{lines}\n  ]\n}}\n')
    return file


class Collector:
    """A plugin of pytest: collects what tests record under a name, in this process and in xdist's workers.

    :param name: of the property.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.failed = 0

    def has_all(self, terminalreporter: Any) -> bool:
        """Whether all tests of the suite have run, and none has failed."""
        return bool(self.values) and not self.failed and not terminalreporter.config.option.keyword

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take what a test has recorded."""
        self.failed += report.failed
        for name, value in report.user_properties:
            if name == self.name and report.when == "call":
                self.values[report.nodeid] = value
                self.seconds[report.nodeid] = report.duration
