"""A sandbox, a hostile server before it, and processes in which pipelines meet it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.hostile import Hostile

if TYPE_CHECKING:
    from support.evils import Evil

NOW = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
SUPPORT = Path(__file__).parent
#: MB that a process may still hold when the next pipeline begins in it.
MOST_LEFT = 250
#: Rows of these tables are compared, by the column that tells whose they are.
TABLES = {
    "locus_site_data": "site_id",
    "locus_component_data": "component_id",
    "locus_install_info": "site_id",
    "locus_model_settings": "site_id",
    "locus_sites": "site_id",
    "locus_clients": "client_id",
    "locus_components": "component_id",
    "locus_data_available": "entity_id",
    "locus_bulk_monthly": "site_id",
    "locus_alerts": "alert_id",
    "stem_streams": "site_id",
    "stem_sites": "site_id",
    "stem_clients": "client_id",
}


@dataclass
class Met:
    """How a pipeline ended that met an evil.

    :param peak: most memory that it took, in MB.
    :param rows: by table and owner, as sets of items; what isn't the same for each run is left out.
    """

    peak: float
    seconds: float
    error: str
    skipped: list[str]
    rows: dict[tuple[str, str], set[str]]
    asked: int


class Field:
    """Where pipelines and evils meet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet = Fleet(sites=3, stem_sites=3, now=NOW)
        self.server = Server(self.fleet, Options(concurrency=10**6, stem_concurrency=10**6))
        self.hostile = Hostile("")
        self._process: subprocess.Popen[str] | None = None
        self._lakes = 0
        self._honest: dict[str, Met] = {}

    def __enter__(self):
        self.server.__enter__()
        self.hostile.behind = self.server.url
        self.hostile.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.end_process()
        self.hostile.__exit__(None, None, None)
        self.server.__exit__(None, None, None)

    def end_process(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(30)
            self._process = None

    def honest(self, pipeline: str) -> Met:
        if pipeline not in self._honest:
            self.hostile.evil = None
            self._honest[pipeline] = self._run(pipeline)
            assert not self._honest[pipeline].error, self._honest[pipeline].error
        return self._honest[pipeline]

    def meet(self, pipeline: str, path: str, evil: Evil) -> Met:
        """Run a pipeline against a server that answers requests whose path ends so with an evil."""
        self.hostile.hits, self.hostile.evil, self.hostile.asked = path_ends(path), evil.produce, 0
        try:
            return self._run(pipeline)
        finally:
            self.hostile.evil = None

    def meet_filled(self, pipeline: str, path: str, evil: Evil) -> Met:
        """Do the same in a lake that an honest run has filled once; what evils leave in it stays."""
        lake = self.folder / f"filled-{pipeline}"
        if not lake.exists():
            self.hostile.evil = None
            assert not self._run(pipeline, lake).error
        self.hostile.hits, self.hostile.evil, self.hostile.asked = path_ends(path), evil.produce, 0
        try:
            return self._run(pipeline, lake)
        finally:
            self.hostile.evil = None

    def _run(self, pipeline: str, filled: Path | None = None) -> Met:
        self._lakes += 1
        lake = filled or self.folder / f"lake{self._lakes}"
        job = {"pipeline": pipeline, "lake": f"file://{lake}", "url": self.hostile.url}
        process = self._started()
        process.stdin.write(f"{json.dumps(job)}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "the process has died"
        result = json.loads(line)
        if result.pop("left", 0) > MOST_LEFT:
            self.end_process()  # a task's process is new: it doesn't hold what another one has freed
        assert "crash" not in result, result["crash"]
        rows = rows_of(Lake(f"file://{lake}"))
        if not filled:
            shutil.rmtree(lake, ignore_errors=True)
        return Met(**result, rows=rows, asked=self.hostile.asked)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(
                entry for entry in (os.environ.get("PYTHONPATH"), str(SUPPORT.parent)) if entry
            )
            self._process = subprocess.Popen(
                [sys.executable, str(SUPPORT / "untrusted_process.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self.folder / "stderr.txt").open("a"),
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        return self._process


def path_ends(end: str):
    return lambda path: path.endswith(end)


def rows_of(lake: Lake) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for table, owner in TABLES.items():
        for row in lake.read(table).to_pylist():
            # columns that only evil objects have are null in the others' rows
            items: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
            found.setdefault((table, str(row[owner])), set()).add(repr(sorted(items.items())))
    return found
