"""The pipelines of an account as runs in which one task is killed once, and what must be right after them."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.fs

from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.options import Fault
from locus_stem.sandbox.server import Server
from support.effects import AT_THE_API
from support.moments import MONTH_ENDED
from support.tries import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from locus_stem.demo.compare import Difference
    from locus_stem.demo.webhook import Webhook
    from locus_stem.sandbox.ledger import Served
    from locus_stem.tables.lake import Lake
    from support.effects import KillPoint
    from support.tries import Zygote

#: A few days that ended long ago, so that no interval of theirs is open.
DAYS = 3
MONTHS = 3
BEGUN = datetime.now(UTC)
TODAY = BEGUN.date()
FIRST, AFTER = TODAY - timedelta(days=40), TODAY - timedelta(days=40 - DAYS)
HOOK = "ticketing"


@dataclass(frozen=True)
class Pipeline:
    """A DAG, its params, and its tasks in their order; the mapped one has a task for each batch."""

    dag_id: str
    tasks: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)
    mapped: str | None = None


def _backfill(dag_id: str, extract: str, **params: Any) -> Pipeline:
    return Pipeline(dag_id, ("plan", extract, "load", "report"), params, extract)


def _month(back: int) -> date:
    first = (BEGUN - MONTH_ENDED).date().replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


DATES = {"start": FIRST.isoformat(), "end": AFTER.isoformat()}
PIPELINES = {
    "sites": _backfill("locus_daily_backfill", "extract", **DATES, granularity="15min"),
    "components": _backfill("locus_daily_backfill", "extract", **DATES, granularity="15min", level="component"),
    "bulk": _backfill(
        "locus_monthly_bulk", "extract_bulk", start_month=f"{_month(MONTHS):%Y-%m}", end_month=f"{_month(0):%Y-%m}"
    ),
    "stem": _backfill("stem_daily_backfill", "extract_streams", **DATES),
    "inventory": Pipeline("locus_inventory", ("inventory",)),
    "alerts": Pipeline("locus_alert_sync", ("sync", "deliver"), {"webhook_conn_id": HOOK}),
}  # fmt: skip


@dataclass
class World:
    """A sandbox of both APIs, a webhook, a lake, and the runs of a pipeline on them.

    :param settings: constants of the package that are others in the tries.
    :param mended: called between the tries of a task.
    :param last: the newest run.
    """

    zygote: Zygote
    server: Server
    webhook: Webhook
    lake: Lake
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    mended: Callable[[], None] | None = None
    last: Run | None = None

    def run(
        self,
        name: str,
        kill: KillPoint | None = None,
        of: str = "",
        before: Mapping[str, Callable[[], None]] | None = None,
        cleared: Run | None = None,
    ) -> Run:
        """Run a pipeline to its end; a task's first try dies at the kill point.

        :param of: the task that is killed; of a mapped one it is the first.
        :param before: what is done before a task is first tried.
        :param cleared: a run that failed: its failed task and those after it are run again.
        """
        pipeline = PIPELINES[name]
        connections = {
            **sandbox_connections(self.server.url),
            HOOK: {"conn_type": "http", "host": self.webhook.url},
        }
        environment = {
            "AIRFLOW__LOCUS_STEM__LAKE_URI": self.lake.uri,
            **{f"AIRFLOW_CONN_{key.upper()}": json.dumps(fields) for key, fields in connections.items()},
        }
        folder = self.folder / "run"
        run = self.last = cleared or Run(
            self.zygote,
            folder,
            pipeline.dag_id,
            environment,
            self.between_tries,
            pipeline.params,
            self.settings,
        )
        batches: list[str] = []
        for task in pipeline.tasks:
            mine = kill if task == of else None
            if before and task in before:
                before[task]()
            if task == pipeline.mapped:
                for number, batch in enumerate(batches):
                    here = mine if number == 0 else None
                    run.task(task, here, number, batch=batch)
            elif task == "plan":
                batches = run.task(task, mine)
            else:
                run.task(task, mine)
        return run

    def differences(self, name: str) -> list[str]:
        """Say what of the pipeline's tables isn't as the sandbox has it."""
        return [example for found in self._compared(name) for example in found.examples]

    def _compared(self, name: str) -> Iterable[Difference]:
        lake, fleet, now = self.lake, self.server.fleet, datetime.now(UTC)
        if name in {"sites", "components"}:
            loaded = [compare.Loaded(name[:-1], "15min", FIRST, AFTER, now)]  # type: ignore[arg-type]
            return [*compare.measurements(lake, fleet, loaded), compare.coverage(lake, fleet, loaded)]
        if name == "bulk":
            months, fields = [(_month(MONTHS), _month(0))], sorted(BULK_SHORT_NAMES)
            return [
                compare.bulk(lake, fleet, months, fields),
                compare.bulk_coverage(lake, fleet, months, fields),
            ]
        if name == "stem":
            streams = [compare_stem.LoadedStreams(900, FIRST, AFTER, now)]
            return [
                *compare_stem.objects(lake, fleet),
                compare_stem.streams(lake, fleet, streams),
                compare_stem.coverage(lake, fleet, streams),
            ]
        if name == "inventory":
            return [
                *compare.objects(lake, fleet),
                *compare.details(lake, fleet),
                compare.available(lake, fleet),
            ]
        return compare_alerts.alerts(lake, fleet, self.webhook.posts)

    def left_in_staging(self) -> list[str]:
        """Name what lies in staging, and probes that lie in the lake."""
        return left_in_staging(self.lake)

    def repeated(self) -> int:
        """Count the requests that were served again, of those that name what they ask for."""
        return repeats(self.server.log)

    def lost(self) -> int:
        """Count the requests that a killed try had sent: of a mapped task these are of one batch."""
        assert self.last is not None
        return sum(one.startswith("request:") and not one.endswith("/token") for one in self.last.cut_off)

    def refused(self) -> list[str]:
        """Name the requests that were over a limit."""
        return [one.path for one in self.server.log if one.status == 429]

    def slow_down(self) -> None:
        """Let an answer take longer than it takes to kill its process."""
        self.server.options = replace(self.server.options, latency_ms=2000 * AT_THE_API)

    def refuse_one_site(self) -> None:
        """Refuse a third of the sites."""
        fault = Fault("forbidden", target=f"{self.server.fleet.site_ids[0]}")
        self.server.__exit__(None, None, None)
        self.server = Server(self.server.fleet, replace(self.server.options, faults=(fault,))).__enter__()

    def between_tries(self) -> None:
        """Wait until no request of a process that was killed is answered any more, as a retry's delay does.

        What was broken is mended, if somebody does that meanwhile.
        """
        if self.mended is not None:
            self.mended()
        deadline = time.monotonic() + 10
        while any(self.server.application.in_flight.values()) and time.monotonic() < deadline:
            time.sleep(0.005)


def repeats(log: Sequence[Served]) -> int:
    """Count the requests that were answered more than once."""
    asked = Counter((one.path, one.query) for one in log if one.api != "token" and one.status == 200)
    return sum(number - 1 for number in asked.values())


def left_in_staging(lake: Lake) -> list[str]:
    """Name what lies in a lake's staging, and probes that lie beside it."""
    filesystem, base = lake.filesystem()
    staged = filesystem.get_file_info(
        pyarrow.fs.FileSelector(f"{base}/_staging", recursive=True, allow_not_found=True)
    )
    beside = filesystem.get_file_info(pyarrow.fs.FileSelector(base))
    return [
        info.path.removeprefix(f"{base}/")
        for info in [*staged, *(one for one in beside if one.base_name.startswith(".probe"))]
    ]
