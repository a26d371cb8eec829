"""How busy one extract task keeps the API, and how much memory it takes.

A sandbox in a process of its own answers every request after 50 ms; this process extracts a batch of it as the task
does: ask, parse, write Parquet. Printed: the share of the time in which the sandbox had a request (from its arrival to
the last byte sent), and this process's peak memory.

    python benchmarks/extract.py [--requests 400] [--granularity 15min] [--latency-ms 50]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import httpx

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.demo.sandbox_process import sandbox_process
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.plan import plan_daily_backfill
from locus_stem.pipelines.slot import Turn
from locus_stem.planning.backfill import DataRequest
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--granularity", default="15min")
    parser.add_argument("--latency-ms", type=float, default=50.0)
    options = parser.parse_args()
    sites = max(1, options.requests // 12)
    sandbox = sandbox_process("--sites", str(sites), "--latency-ms", str(options.latency_ms))
    with sandbox as url, tempfile.TemporaryDirectory() as folder:
        measure(url, Path(folder, "lake"), options.granularity)


def measure(url: str, lake_folder: Path, granularity: str) -> None:
    """Extract a year of every site and print the figures."""
    lake = Lake(f"file://{lake_folder}")
    lake.check()
    credentials = LocusCredentials(
        host=url, username="sandbox", password="sandbox-password", client_id="sandbox-client",  # noqa: S106
        client_secret="sandbox-secret", partner_id=1,  # noqa: S106
    )  # fmt: skip
    end = date.today().replace(day=1)  # noqa: DTZ011
    params = {"start": str(end - timedelta(days=365)), "end": str(end), "granularity": granularity}
    with LocusClient(credentials) as client:
        planned = plan_daily_backfill(lake, params, 1, "benchmark", end, Turn(client), scheduled=False)
        staging = Staging.at(lake, planned.staging or "")
        requests = [
            DataRequest.from_json(item)
            for number in range(len(planned.batches))
            for item in staging.read_json(f"batch-{number:04d}.json")
        ]
        httpx.post(f"{url}/_sandbox/reset")
        began, cpu = time.monotonic(), time.process_time()
        left = extract_batch(requests, staging.batch(0), Turn(client, seconds=3600), {"task_id": "extract"})
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
    if left:
        raise SystemExit(f"{left} requests are left")
    stats = httpx.get(f"{url}/_sandbox/stats").json()
    rows = sum(item["rows"] for manifest in staging.batch(0).manifests() for item in manifest["answered"])
    print(f"requests {len(requests)}, rows {rows:,}, bytes sent {stats['bytes_sent']:,}")
    print(f"wall {wall:.2f} s, processor {cpu:.2f} s, {1000 * wall / len(requests):.2f} ms a request")
    print(f"API busy {stats['busy_share']:.2%} of the time from the first request to the last byte")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
