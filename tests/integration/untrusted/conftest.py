from __future__ import annotations

import os
from collections import Counter

import pytest

from support.results import Collector, write_results
from support.untrusted import Field

COLUMNS = (
    "pipeline",
    "endpoint",
    "evils",
    "peak MB",
    "skipped or refused",
    "typed error",
    "taken",
    "longest s",
)


def pytest_configure(config):
    if os.environ.get("UNTRUSTED") == "all" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Evils("evil"))


class Evils(Collector):
    """Writes down what evils cost and how they ended, a line for each place, where all was right."""

    def pytest_terminal_summary(self, terminalreporter):
        places = {}
        for pipeline, path, _, peak, how, seconds in self.values.values():
            places.setdefault((pipeline, path), []).append((peak, how, seconds))
        rows = []
        for place, found in sorted(places.items()):
            peaks, ways, seconds = zip(*found, strict=True)
            ended = Counter(ways)
            ends = ended["skipped"], ended["error"], ended["taken"]
            rows.append((*place, len(found), round(max(peaks)), *ends, round(max(seconds), 1)))
        if self.has_all(terminalreporter):
            write_results("untrusted", COLUMNS, rows, answers=len(self.values))


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    with Field(tmp_path_factory.mktemp("untrusted")) as made:
        yield made
