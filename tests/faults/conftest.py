from __future__ import annotations

import pytest

from faults.choice import pairwise
from faults.matrix import CELLS, COLUMNS, Measures
from support.results import Collector, write_results


def pytest_configure(config):
    if config.getoption("--faults") == "all" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Cells("cell"))


def pytest_generate_tests(metafunc):
    if "cell" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--faults") == "all"
        metafunc.parametrize("cell", CELLS if whole else pairwise(CELLS), ids=str)


@pytest.fixture(scope="session")
def measures(tmp_path_factory):
    """The runs of this worker; those without faults are kept for all cells."""
    return Measures(tmp_path_factory.mktemp("lakes"))


class Cells(Collector):
    """Collects what cells report, and writes it down at the end."""

    def pytest_terminal_summary(self, terminalreporter):
        rows = sorted(self.values.values(), key=lambda cell: cell[:3])
        widths = [max(map(len, map(str, column))) for column in zip(COLUMNS, *rows, strict=True)]
        for row in (COLUMNS, *rows):
            line = "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line(line[:200])
        if len(rows) == len(CELLS):
            inexact = sum(row[-1] != "exact" for row in rows)
            write_results("faults", COLUMNS, rows, cells=len(rows), inexact=inexact)
