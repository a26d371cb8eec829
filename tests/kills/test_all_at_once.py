"""Every pipeline at once: every fault, tokens of five seconds, and a task's process killed again and again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.planning.slices import months_later
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.options import RATE_FAULTS, Fault
from support.killed_airflow import HARD, HARD_STEM, TODAY
from support.killed_runs import left_in_staging

#: Of each kind: nearly all requests are hit, each by as many in a row as the sandbox lets be.
RATE = 0.2
KILL_EVERY = 20.0
TOKEN_LIFE = 5
#: So slow that the runs outlive several kills.
LATENCY_MS = 200.0
#: Faults after which the request may still be in flight.
GIVEN_UP = {"hang", "hang-mid-body"}
DAGS = {
    f"locus_inventory__{HARD}": {},
    f"locus_daily_backfill__{HARD}": {"granularity": "15min", "level": "component"},
    f"locus_monthly_bulk__{HARD}": {},
    f"locus_alert_sync__{HARD}": {},
    f"stem_daily_backfill__{HARD_STEM}": {},
}


class Killer(threading.Thread):
    """Kills the process of a running task of these DAGs, each time after a while, until it is stopped.

    The first of each DAG is killed as soon as it is seen.
    """

    def __init__(self, airflow, runs):
        super().__init__(daemon=True)
        self.airflow, self.runs, self.killed = airflow, runs, Counter()
        self._ended, self._random = threading.Event(), random.Random(7)

    def run(self):
        due = time.monotonic() + KILL_EVERY
        while not self._ended.wait(1.0):
            with suppress(RuntimeError, httpx.TransportError):
                self._kill([run for run in self.runs if run.dag_id not in self.killed])
                if time.monotonic() > due:
                    self._kill(self.runs)
                    due = time.monotonic() + KILL_EVERY

    def _kill(self, runs):
        tasks = [one for run in runs for one in self.airflow.tasks(run.dag_id, run.run_id)]
        running = [one for one in tasks if one["state"] == "running" and one["pid"]]
        if running:
            task = self._random.choice(running)
            with suppress(ProcessLookupError):
                os.kill(task["pid"], signal.SIGKILL)
                self.killed[task["dag_id"]] += 1

    def stop(self):
        self._ended.set()
        self.join()


def test_every_pipeline_ends_exact(killed, ledger):
    fleet, posted = killed.server.fleet, len(killed.webhook.posts)
    start, end = killed.dates()
    for dag_id in DAGS:
        killed.airflow.wait_for_dag(dag_id)
    faults = tuple(Fault(kind, RATE) for kind in RATE_FAULTS)
    with killed.server_with(faults=faults, token_life=TOKEN_LIFE, latency_ms=LATENCY_MS):
        runs = [
            killed.trigger(
                dag_id, **({"start": str(start), "end": str(end), **conf} if "backfill" in dag_id else conf)
            )
            for dag_id, conf in DAGS.items()
        ]
        killer = Killer(killed.airflow, runs)
        killer.start()
        try:
            states = {run.dag_id: killed.supervised(run, within=1500) for run in runs}
        finally:
            killer.stop()
        served = killed.server.log
    assert states == dict.fromkeys(DAGS, "success")
    assert {one.fault for one in served} - {None} == set(RATE_FAULTS)
    assert set(killer.killed) == set(DAGS)
    killed.wait_for(killed.is_pool_free, "the pools' slots are free", within=60)
    over = sum(one.status == 429 and one.fault is None for one in served)
    assert over <= killer.killed.total() + sum(one.fault in GIVEN_UP for one in served)
    lake, stem, now = killed.lake_of(HARD), killed.lake_of(HARD_STEM), datetime.now(UTC)
    span, streams = (
        compare.Loaded("component", "15min", start, end, now),
        compare_stem.LoadedStreams(900, start, end, now),
    )
    current = TODAY.replace(day=1)
    months = [(months_later(current, -12), current)]
    found = [
        *compare.objects(lake, fleet),
        *compare.details(lake, fleet),
        compare.available(lake, fleet),
        *compare.measurements(lake, fleet, [span]),
        compare.coverage(lake, fleet, [span]),
        compare.bulk(lake, fleet, months, BULK_SHORT_NAMES),
        *compare_alerts.alerts(lake, fleet, killed.webhook.posts[posted:]),
        *compare_stem.objects(stem, fleet),
        compare_stem.streams(stem, fleet, [streams]),
        compare_stem.coverage(stem, fleet, [streams]),
    ]
    assert [example for one in found for example in one.examples] == []
    assert left_in_staging(lake) == left_in_staging(stem) == []
    tries = max(task["try_number"] for run in runs for task in killed.airflow.tasks(run.dag_id, run.run_id))
    ledger.add(
        f"{killer.killed.total()} tasks of all pipelines at once",
        f"one each {KILL_EVERY:.0f} s, with every fault at {RATE:.0%} and tokens of {TOKEN_LIFE} s",
        tries,
        len(served),
        None,
        over,
        None,
    )
