"""Runs of one account that overlap, on a real Airflow, while the API revises what some of them have asked already."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from locus_stem.demo import compare, compare_alerts
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.airflow_process import AirflowProcess
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.moments import keep_clear_of_noon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAGS = Path(__file__).parents[2] / "dags"
BACKFILL, ALERTS = "locus_daily_backfill", "locus_alert_sync"
SLICES_A_YEAR = 12
WITHIN = 3600.0


def _first_day_not_loaded() -> date:
    """Give the day after that of the daily run which the schedule begins with."""
    return (datetime.now(UTC) - timedelta(hours=12)).date()


@dataclass
class Concurrent:
    """An Airflow with a sandbox beside it, and what was seen.

    :param waits: seconds from the trigger of each alert sync to its request at the API.
    """

    airflow: AirflowProcess
    server: Server
    waits: list[float] = field(default_factory=list)
    spans: dict[str, float] = field(default_factory=dict)
    revised_before: bool = False
    last: date = field(default_factory=_first_day_not_loaded)

    @property
    def fleet(self) -> Fleet:
        return self.server.fleet

    @property
    def lake(self) -> Lake:
        return Lake(f"file://{self.airflow.home}/lake")

    def asked(self, site_id: int | None = None) -> int:
        """Count the data requests, of one site or of all."""
        ending = f"/sites/{site_id}/data" if site_id else "/data"
        return sum(served.path.endswith(ending) for served in list(self.server.log))

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WITHIN
        while not holds():
            assert time.monotonic() < deadline, (
                f"{what}: not within {WITHIN:.0f} s\n{self.airflow.log_tail()}"
            )
            time.sleep(0.5)

    def sync_alerts(self) -> None:
        """Trigger the alert sync and note how long its own request takes to come: another run may go before it."""
        begun, triggered_at = time.monotonic(), datetime.now(UTC)
        run_id = self.airflow.trigger(ALERTS)
        assert self.airflow.wait(ALERTS, run_id, WITHIN) == "success"
        (sync,) = (task for task in self.airflow.tasks(ALERTS, run_id) if task["task_id"] == "sync")
        began = begun + (datetime.fromisoformat(sync["start_date"]) - triggered_at).total_seconds()
        asked = (served.arrived for served in self.server.log if served.path.endswith("/alerts"))
        self.waits.append(min(arrived for arrived in asked if arrived >= began) - begun)

    def revise(self, site_id: int, first: date, after: date, **how: Any) -> None:
        """Let the API change a site's values of some local days."""
        zone = ZoneInfo(self.fleet.zone(site_id))
        start, end = (datetime.combine(day, clock(), zone).astimezone(UTC) for day in (first, after))
        self.server.revise("site", site_id, start, end, **how)

    def extraction(self, run_id: str) -> float:
        """Give the seconds from the first turn of a run's extraction to the end of its last."""
        filters = [("run_id", "=", run_id), ("task_id", "=", "extract")]
        turns = self.lake.read("runs", ["started", "ended"], filters).to_pylist()
        span: timedelta = max(one["ended"] for one in turns) - min(one["started"] for one in turns)
        return span.total_seconds()

    def ended(self, run_id: str, task_id: str) -> datetime | None:
        """Tell when a task of a run has succeeded."""
        for task in self.airflow.tasks(BACKFILL, run_id):
            if task["task_id"] == task_id and task["state"] == "success":
                return datetime.fromisoformat(task["end_date"])
        return None


@contextmanager
def concurrent(folder: Path, sites: int, latency_ms: float) -> Iterator[Concurrent]:
    """Start a sandbox and an Airflow beside it."""
    with Server(Fleet(sites=sites), Options(latency_ms=latency_ms)) as server:
        connections = {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields)
            for name, fields in sandbox_connections(server.url).items()
        }
        environment = {**connections, "AIRFLOW__CORE__PARALLELISM": "8"}
        with AirflowProcess(folder, DAGS, environment) as airflow:
            for dag_id in (BACKFILL, ALERTS):
                airflow.wait_for_dag(dag_id)
            keep_clear_of_noon(timedelta(minutes=40))
            yield Concurrent(airflow, server)


def run_all_at_once(scene: Concurrent) -> dict[str, str]:
    """Run a year's backfill, the daily run, two overlapping ranges and the alert sync; give their runs' ids.

    What the year's backfill has asked already is revised before the others ask, and what they have asked is revised
    before the backfill gets there.
    """
    airflow, fleet, last = scene.airflow, scene.fleet, scene.last
    airflow.unpause(ALERTS)
    scene.until("the alert sync's first run", lambda: _states(airflow, ALERTS) == {"success"})
    year = {"start": f"{last - timedelta(days=365)}", "end": f"{last}"}
    airflow.unpause(BACKFILL)
    # A scheduler takes tasks of equal priority by their runs' dates: those of the others come first.
    begun = time.monotonic()
    runs = {"a year": airflow.trigger(BACKFILL, year, f"{last}T10:00:00Z")}
    sites = list(fleet.site_ids)
    early, late, before_them = sites[: len(sites) // 4], sites[-2:], sites[-7]
    scene.until("a quarter of the year", lambda: all(scene.asked(site) >= SLICES_A_YEAR for site in early))
    for place, site in enumerate(early):
        scene.revise(site, last - timedelta(days=60), last - timedelta(days=20), factor=1.25 + place)
        scene.revise(site, last - timedelta(days=5), last - timedelta(days=2), withdraw=True, fields=["W"])
    ranges = {"range A": (70, 30), "range B": (45, 10)}
    for number, (name, (first, after)) in enumerate(ranges.items()):
        conf = {"start": f"{last - timedelta(days=first)}", "end": f"{last - timedelta(days=after)}"}
        runs[name] = airflow.trigger(BACKFILL, conf, f"{last - timedelta(days=40 - number)}T13:00:00Z")
    runs["daily, by hand"] = airflow.trigger(BACKFILL, {}, f"{last - timedelta(days=1)}T13:00:00Z")
    scene.sync_alerts()
    scene.until("range A is loaded", lambda: scene.ended(runs["range A"], "load") is not None)
    scene.until("range B is loaded", lambda: scene.ended(runs["range B"], "load") is not None)
    scene.revised_before = scene.asked(before_them) < SLICES_A_YEAR
    if scene.revised_before:  # the backfill hasn't come to the last sites
        for site in late:
            scene.revise(site, last - timedelta(days=50), last - timedelta(days=30), factor=0.5)
    scene.sync_alerts()
    scene.sync_alerts()
    for name, run_id in runs.items():
        assert airflow.wait(BACKFILL, run_id, WITHIN) == "success", f"{name}\n{airflow.log_tail()}"
    (scheduled,) = [run for run in airflow.runs(BACKFILL) if run["run_type"] == "scheduled"]
    runs["daily, scheduled"] = scheduled["dag_run_id"]
    scene.until("all runs", lambda: _states(airflow, BACKFILL) == {"success"})
    scene.spans["all runs"] = time.monotonic() - begun
    for name, run_id in runs.items():
        scene.spans[f"extraction of {name}"] = scene.extraction(run_id)
    for dag_id in (BACKFILL, ALERTS):
        airflow.pause(dag_id)
    return runs


def differences(scene: Concurrent) -> list[compare.Difference]:
    """Hold the tables against what the sandbox has now."""
    span = scene.last - timedelta(days=365), scene.last
    loaded = [compare.Loaded("site", "hourly", *span, datetime.now(UTC))]
    return [
        *compare.measurements(scene.lake, scene.fleet, loaded),
        compare.coverage(scene.lake, scene.fleet, loaded),
        *compare_alerts.alerts(scene.lake, scene.fleet, [])[:2],
        compare.runs(scene.lake, len(scene.server.log)),
    ]


def _states(airflow: AirflowProcess, dag_id: str) -> set[str]:
    return {run["state"] for run in airflow.runs(dag_id)}
