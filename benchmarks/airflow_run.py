"""How busy a whole Airflow run keeps the API: one slot, a sandbox that answers every request after 50 ms.

Printed: the share of the span from the run's first to its last request in which the sandbox had a request, for a
backfill that many batches share and for one that a single batch holds.

    python benchmarks/airflow_run.py [--sites 200] [--latency-ms 50] [--dags dags]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import httpx

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.airflow_process import AirflowProcess
from locus_stem.demo.sandbox_process import sandbox_process

DAG = "locus_daily_backfill"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--dags", type=Path, default=Path("dags"))
    options = parser.parse_args()
    sandbox = sandbox_process("--sites", str(options.sites), "--latency-ms", str(options.latency_ms))
    with sandbox as url, tempfile.TemporaryDirectory() as folder:
        measure(url, Path(folder, "airflow"), options.dags)


def measure(url: str, home: Path, dags: Path) -> None:
    """Run backfills in a real Airflow and print the sandbox's figures of each."""
    connection = json.dumps(sandbox_connections(url)["locus_default"])
    with AirflowProcess(home, dags.resolve(), {"AIRFLOW_CONN_LOCUS_DEFAULT": connection}) as airflow:
        airflow.wait_for_dag(DAG)
        airflow.unpause(DAG)
        while not (runs := airflow.runs(DAG)):
            time.sleep(0.5)
        airflow.wait(DAG, runs[0]["dag_run_id"])
        end = date.today().replace(day=1)  # noqa: DTZ011
        for days in (365, 31):
            httpx.post(f"{url}/_sandbox/reset")
            conf = {"start": str(end - timedelta(days=days)), "end": str(end)}
            run_id = airflow.trigger(DAG, conf)
            state = airflow.wait(DAG, run_id, within=3600)
            stats = httpx.get(f"{url}/_sandbox/stats").json()
            batches = sum(task["task_id"] == "extract" for task in airflow.tasks(DAG, run_id))
            print(
                f"{days} days: {state}, {stats['requests']} requests in {batches} batches, "
                f"span {stats['span_seconds']:.1f} s, API busy {stats['busy_share']:.2%}, "
                f"in flight at most {stats['max_in_flight']['locus']}"
            )


if __name__ == "__main__":
    main()
