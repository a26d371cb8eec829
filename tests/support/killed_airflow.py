"""Runs of a real Airflow in which something dies, and what must be right after them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

import httpx

from locus_stem.demo import compare, compare_stem
from locus_stem.demo.airflow_rest import FINISHED
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.killed_runs import left_in_staging, repeats
from support.results import write_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from locus_stem.demo.webhook import Webhook
    from locus_stem.sandbox.ledger import Served
    from locus_stem.sandbox.options import Options
    from support.airflow_parts import AirflowParts
    from support.disk import Disk
    from support.effects import KillPoint
    from support.services import Postgres

HOOK = "ticketing"
#: Accounts whose first alert sync brings all alerts there are.
ALERT_ACCOUNTS = tuple(f"alerts_{number}" for number in range(4))
#: Accounts whose API is as bad as can be, and whose tasks are tried often.
HARD, HARD_STEM = "hard", "hard_stem"
BACKFILL, BULK, STEM = "locus_daily_backfill", "locus_monthly_bulk", "stem_daily_backfill"
NAME = "kills"
DATA = ("/data", "/streams")
#: Seconds, less than Airflow takes until the next try.
A_KILL_TAKES = 1.0
TODAY = datetime.now(UTC).date()
DAYS = 3
COLUMNS = (
    "what is killed", "when", "tries", "requests", "asked twice", "over the limit", "seconds to the end", "tables",
)  # fmt: skip


@dataclass
class Ledger:
    """The lines of the results file, which is written by a run of all tests in which none failed."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, *facts: Any) -> None:
        """Add the line of a test in which everything was right."""
        self.rows.append((*facts, "exact"))

    def write(self) -> None:
        """Write all lines."""
        write_results(NAME, COLUMNS, self.rows)


@dataclass
class Killed:
    """One run, from the moment at which something died: the process of a task, where it is named."""

    dag_id: str
    run_id: str
    asked_from: int
    task_id: str | None = None
    killed_at: float = 0.0
    ended_at: float = 0.0
    state: str = ""
    tries: int = 0
    served: list[Served] = field(default_factory=list)


def lost_with(run: Killed) -> int:
    """Count the answers that may have been lost with what died: a task's own until then, else the only batch.

    All others have been staged or loaded and are not asked for again. One may be on its way, whatever dies; a sensor
    asks the same again and again.
    """
    if run.dag_id == "deferred":
        return len(run.served)
    data = [one for one in run.served if one.path.endswith(DATA)]
    other = [one for one in run.served if one.api != "token" and not one.path.endswith(DATA)]
    of_task = {"extract": data, "plan": other, "sync": other, None: data}.get(run.task_id, [])
    died = run.killed_at + A_KILL_TAKES if run.task_id else inf
    answered = {(one.path, one.query) for one in of_task if one.arrived <= died}
    return len(answered) * (run.tries - 1) + 1


@dataclass
class KilledAirflow:
    """An Airflow, what its tasks ask, and the ranges that its runs have loaded so far.

    :param points: folder by which the plugin is told what dies.
    """

    airflow: AirflowParts
    database: Postgres
    server: Server
    webhook: Webhook
    lake: Lake
    points: Path
    ledger: Ledger
    disk: Disk | None
    loaded: list[compare.Loaded] = field(default_factory=list)
    streams: list[compare_stem.LoadedStreams] = field(default_factory=list)
    next_kill: tuple[str, KillPoint] | None = None
    _ranges: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        for dag_id in (BACKFILL, STEM, "deferred", *(f"locus_alert_sync__{one}" for one in ALERT_ACCOUNTS)):
            self.airflow.wait_for_dag(dag_id)

    # -- runs

    def dates(self) -> tuple[date, date]:
        """Give a range that no run has loaded."""
        first = TODAY - timedelta(days=40 + 10 * next(self._ranges))
        return first, first + timedelta(days=DAYS)

    def backfill(self, level: str = "component", **params: Any) -> Killed:
        """Trigger a backfill of new days."""
        first, after = self.dates()
        self.loaded.append(compare.Loaded(level, "15min", first, after, datetime.now(UTC)))  # type: ignore[arg-type]
        return self.trigger(
            BACKFILL, start=str(first), end=str(after), granularity="15min", level=level, **params
        )

    def stem(self) -> Killed:
        """Trigger a run of Stem's streams of new days."""
        first, after = self.dates()
        self.streams.append(compare_stem.LoadedStreams(900, first, after, datetime.now(UTC)))
        return self.trigger(STEM, start=str(first), end=str(after))

    def trigger(self, dag_id: str, **conf: Any) -> Killed:
        """Trigger a run, in which dies what :meth:`kill_in` has said."""
        run_id = f"killed-{next(self._ranges)}"
        task_id = self.next_kill[0] if self.next_kill else None
        self.point(dag_id, run_id)
        asked = len(self.server.log)
        self.airflow.unpause(dag_id)
        self.airflow.api(
            "POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf, "logical_date": None}
        )
        return Killed(dag_id, run_id, asked, task_id)

    def point(self, dag_id: str, run_id: str) -> None:
        """Tell the plugin which task dies where, if one is to."""
        for name in ("armed", "effects"):
            (self.points / name).unlink(missing_ok=True)
        order = self.points / "point.json"
        order.unlink(missing_ok=True)
        if self.next_kill is not None:
            task_id, kill = self.next_kill
            whole = {
                "dag_id": dag_id,
                "run_id": run_id,
                "task_id": task_id,
                "map_index": 0,
                "kill": asdict(kill),
            }
            order.write_text(json.dumps(whole))
            self.next_kill = None

    def kill_in(self, task_id: str, kill: KillPoint) -> None:
        """Let a task of the next run die."""
        self.next_kill = task_id, kill

    def forget_lists(self) -> None:
        """Let the next plan ask for all lists and fields, as the first of a lake does."""
        coverage = self.lake.open("coverage")
        if coverage is not None:
            coverage.delete("granularity = '' AND field = ''")

    def clear(self, run: Killed, task_id: str) -> None:
        """Clear a failed task and what comes after it, as the documentation says."""
        body = {
            "dry_run": False,
            "dag_run_id": run.run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.airflow.api("POST", f"/dags/{run.dag_id}/clearTaskInstances", body)

    # -- what dies

    def revive(self) -> None:
        """Start again what has ended by itself, as a supervisor does."""
        for name, part in self.airflow.parts.items():
            if not part.alive():
                part.kill()
                self.airflow.start(name)

    @contextmanager
    def server_down(self) -> Iterator[None]:
        """Let nothing listen at the API's address for a while."""
        down = self.server
        down.__exit__(None, None, None)
        try:
            yield
        finally:
            self._serve_in_place_of(down, down.options)

    @contextmanager
    def server_with(self, **options: Any) -> Iterator[None]:
        """Let the API be another for a while."""
        good = self.server
        good.__exit__(None, None, None)
        self._serve_in_place_of(good, replace(good.options, **options))
        try:
            yield
        finally:
            self.server.__exit__(None, None, None)
            self._serve_in_place_of(self.server, good.options)

    def _serve_in_place_of(self, ended: Server, options: Options) -> None:
        self.server = Server(ended.fleet, options, port=ended.port)
        self.server.application.ledger = ended.application.ledger
        self.server.__enter__()

    @contextmanager
    def clock_at(self, moment: datetime) -> Iterator[None]:
        """Let the API's clock stand still."""
        self.server.fleet.set_now(moment)
        try:
            yield
        finally:
            self.server.fleet.set_now(None)

    # -- waiting

    def wait_for(self, ready: Callable[[], bool], what: str, within: float = 120.0) -> None:
        deadline = time.monotonic() + within
        while not ready():
            assert time.monotonic() < deadline, (
                f"{what}: not within {within:.0f} s\n{self.airflow.log_tail(3000)}"
            )
            time.sleep(0.1)

    def wait_for_requests(self, run: Killed, number: int, path: str = "/data") -> None:
        """Wait until a run's requests of a kind have begun to be answered."""
        self.wait_for(
            lambda: sum(one.path.endswith(path) for one in self.server.log[run.asked_from :]) >= number,
            f"{number} requests",
        )

    def running_task(self, run: Killed, task_id: str) -> dict[str, Any]:
        """Give the task instance of a task that runs."""
        return next(
            one
            for one in self.airflow.tasks(run.dag_id, run.run_id)
            if one["task_id"] == task_id and one["state"] == "running"
        )

    def tries(self, run: Killed) -> int:
        """Count the tries of the task that was tried most often."""
        return max(task["try_number"] for task in self.airflow.tasks(run.dag_id, run.run_id))

    def log_of_a_failed_try(self, run: Killed, task_id: str) -> str:
        """Wait for the first try of a mapped task to fail; give its log."""

        def is_over() -> bool:
            tasks = self.airflow.tasks(run.dag_id, run.run_id)
            return any(
                one["task_id"] == task_id and (one["state"] == "up_for_retry" or one["try_number"] > 1)
                for one in tasks
            )

        self.wait_for(is_over, "a try has failed")
        return self.whole_log(run, task_id)

    def whole_log(self, run: Killed, task_id: str) -> str:
        """Give the log of the first try of a mapped task, its errors' details included."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/logs/1"
        return json.dumps(self.airflow.api("GET", path, map_index=0, full_content=True)["content"])

    def lake_of(self, account: str) -> Lake:
        """Give the lake of another account than the default one."""
        return Lake(f"{self.lake.uri}/{account}")

    def end(self, run: Killed, what: str, when: str, within: float = 400.0) -> Killed:
        """Wait for a run's end and check everything that must be right then."""
        effects = self.points / "effects"
        run.state = self.supervised(run, within)
        run.ended_at = time.monotonic()
        tasks = self.airflow.tasks(run.dag_id, run.run_id)
        run.tries = self.tries(run)
        run.served = self.server.log[run.asked_from :]
        if not run.killed_at and effects.exists():
            run.killed_at = run.ended_at - (time.time() - effects.stat().st_mtime)
        failed = [
            self.airflow.task_log(run.dag_id, run.run_id, one["task_id"], one["try_number"], one["map_index"])
            for one in tasks
            if one["state"] == "failed"
        ]
        assert (run.state, failed) == ("success", []), self.airflow.log_tail(2000)
        assert self.differences() == []
        assert left_in_staging(self.lake) == []
        self.wait_for(self.is_pool_free, "the pools' slots are free", within=60)
        over = sum(one.status == 429 for one in run.served)
        again, asked = repeats(run.served), len(run.served)
        lost = lost_with(run)
        assert again <= lost, f"{again} of {asked} requests were sent again, and what died had {lost}"
        assert over < run.tries, f"{over} requests met one of a try before"  # what died may still be answered
        seconds = run.ended_at - run.killed_at
        self.ledger.add(what, when, run.tries, asked, again, over, round(seconds))
        return run

    def supervised(self, run: Killed, within: float) -> str:
        """Wait for a run's end; give its state. A scheduler, for one, ends itself when it loses its database."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self.revive()
            with suppress(RuntimeError, httpx.TransportError):  # it has no database for a while
                state = self.airflow.api("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")["state"]
                if state in FINISHED:
                    return str(state)
            time.sleep(0.5)
        raise AssertionError(f"{run.run_id}: not ended within {within:.0f} s\n{self.airflow.log_tail()}")

    # -- what must be right

    def is_pool_free(self) -> bool:
        """Whether nothing holds a slot of the APIs' pools."""
        pools = [pool for pool in self.airflow.api("GET", "/pools")["pools"] if "_api" in pool["name"]]
        return not any(
            pool[state] for pool in pools for state in ("running_slots", "queued_slots", "deferred_slots")
        )

    def differences(self) -> list[str]:
        """Say what of the tables isn't as the sandbox has it."""
        found = [
            *compare.measurements(self.lake, self.server.fleet, self.loaded),
            compare.coverage(self.lake, self.server.fleet, self.loaded),
            compare_stem.streams(self.lake, self.server.fleet, self.streams),
            compare_stem.coverage(self.lake, self.server.fleet, self.streams),
        ]
        return [example for one in found for example in one.examples]
