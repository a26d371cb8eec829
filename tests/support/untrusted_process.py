"""One pipeline in a process of its own, run again and again: what it needs at most, how it ends, and in what time.

Reads a job a line from stdin, writes a result a line to stdout. The peak is of the process' resident memory since the
job began (Linux counts it anew on request), with the interpreter, the package, deltalake and pyarrow, without Airflow,
which isn't imported.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

from locus_stem.api.client import AsyncLocusClient, LocusClient, StemClient
from locus_stem.api.credentials import LocusCredentials, StemCredentials
from locus_stem.api.errors import LocusStemError
from locus_stem.pipelines import stem_refresh
from locus_stem.pipelines.alert_sync import sync_alerts
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.bulk import load_monthly_bulk, plan_monthly_bulk
from locus_stem.pipelines.bulk_extract import BulkMonths
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.inventory import refresh_inventory
from locus_stem.pipelines.load import load_backfill
from locus_stem.pipelines.plan import NothingAllowedError, plan_daily_backfill
from locus_stem.pipelines.slot import Turn, UnansweredError
from locus_stem.pipelines.stem import load_stem_backfill, plan_stem_backfill
from locus_stem.pipelines.stem_extract import Streams
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging
from locus_stem.waits.data import DataWait
from locus_stem.waits.wait import look, look_async

stem_refresh.BUDGET_SECONDS = 1.0
#: Shorter than in production, so that a suite ends: a turn, one that plans, a request (shorter than a turn, so that
#: others are asked in one that begins with a request that hangs), and how long an entity may fail.
TURN_SECONDS, PLAN_SECONDS, TIMEOUT, PATIENCE = 1.5, 2.5, 1.0, 0.5
DAY = date(2025, 10, 26)
OWNER = {"dag_id": "untrusted", "run_id": "test", "task_id": "extract", "map_index": 0, "try_number": 1}
#: What a pipeline may end with, beside the errors of the API.
TYPED = (LocusStemError, UnansweredError, NothingAllowedError)


def locus_credentials(url: str) -> LocusCredentials:
    return LocusCredentials(
        host=url,
        username="sandbox",
        password="sandbox-password",
        client_id="sandbox-client",
        client_secret="sandbox-secret",
        partner_id=1,
        timeout=TIMEOUT,
    )


def locus(url: str) -> LocusClient:
    return LocusClient(locus_credentials(url))


def stem(url: str) -> StemClient:
    return StemClient(StemCredentials(host=url, api_key="sandbox-key", timeout=TIMEOUT))


def _planned(plan, client, lake):
    for _ in range(20):
        planned = plan(Turn(client, PLAN_SECONDS, set_aside=0.5))
        if planned.staging:
            return planned, Staging.at(lake, planned.staging)
    raise AssertionError("the plan takes more than 20 turns")


def _extracted(client, planned, staging, source=None):
    for number, _ in enumerate(planned.batches):
        requests = requests_of(staging, number)
        for _ in range(20):
            turn = Turn(client, TURN_SECONDS, set_aside=0.5)
            if not extract_batch(requests, staging.batch(number), turn, OWNER, source, patience=PATIENCE):
                break
        else:
            raise AssertionError("a batch takes more than 20 turns")


def backfill(lake: Lake, url: str, level: str) -> list[str]:
    params = {"level": level, "start": "2025-10-24", "end": "2025-10-27", "granularity": "hourly"}
    with locus(url) as client:
        planned, staging = _planned(
            lambda turn: plan_daily_backfill(lake, params, 1, "untrusted", DAY, turn, scheduled=False),
            client,
            lake,
        )
        _extracted(client, planned, staging)
    return [*load_backfill(lake, staging).skipped, *staging.read_json("plan.json")["refused"]]


def inventory(lake: Lake, url: str) -> list[str]:
    refused = []
    with locus(url) as client:
        for _ in range(20):
            turn = Turn(client, PLAN_SECONDS, set_aside=0.5)
            result = refresh_inventory(lake, 1, datetime.now(UTC).date(), turn, detail_max_age_days=7)
            refused += [str(entity) for _, entity in result.refused]
            if not result.left:
                return refused
    raise AssertionError("the inventory takes more than 20 turns")


def bulk(lake: Lake, url: str) -> list[str]:
    params = {"start_month": "2025-01", "end_month": "2025-10"}
    with locus(url) as client:
        planned, staging = _planned(
            lambda turn: plan_monthly_bulk(lake, params, 1, "untrusted", DAY, turn), client, lake
        )
        _extracted(client, planned, staging, BulkMonths(1, staging.read_json("plan.json")["sites"]))
    return list(load_monthly_bulk(lake, staging).skipped)


def streams(lake: Lake, url: str) -> list[str]:
    params = {"start": "2025-10-24", "end": "2025-10-27"}
    with stem(url) as client:
        planned, staging = _planned(
            lambda turn: plan_stem_backfill(lake, params, "untrusted", DAY, turn, scheduled=False),
            client,
            lake,
        )
        _extracted(client, planned, staging, Streams())
    return [*load_stem_backfill(lake, staging).skipped, *staging.read_json("plan.json")["refused"]]


def alerts(lake: Lake, url: str) -> list[str]:
    now = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
    with locus(url) as client:
        while sync_alerts(
            lake, 1, Turn(client, TURN_SECONDS, set_aside=0.5), run="untrusted", now=lambda: now
        ).left:
            pass
    return []


def _wait() -> DataWait:
    return DataWait.read(site_id=3000002, fields="Wh_sum", until="2025-10-26T12:00:00Z", granularity="hourly")


def a_look(lake: Lake, url: str) -> list[str]:
    with LocusClient(locus_credentials(url), budget_seconds=0.0) as client:
        look(_wait(), client, datetime.now(UTC))
    return []


def a_triggers_look(lake: Lake, url: str) -> list[str]:
    async def looked() -> None:
        async with AsyncLocusClient(locus_credentials(url), budget_seconds=0.0) as client:
            await look_async(_wait(), client, datetime.now(UTC))

    asyncio.run(looked())
    return []


def test_button(lake: Lake, url: str) -> list[str]:
    with LocusClient(locus_credentials(url), budget_seconds=1.0) as client:
        client.get_partner_clients(partner_id=1)
    return []


PIPELINES = {
    "site data": lambda lake, url: backfill(lake, url, "site"),
    "component data": lambda lake, url: backfill(lake, url, "component"),
    "inventory": inventory,
    "bulk": bulk,
    "streams": streams,
    "alerts": alerts,
    "look": a_look,
    "trigger": a_triggers_look,
    "button": test_button,
}


def _memory(what: str) -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024


def _run(job: dict) -> dict:
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    began, skipped, error = time.monotonic(), [], ""
    lake = Lake(job["lake"])
    lake.check()
    try:
        skipped = PIPELINES[job["pipeline"]](lake, job["url"])
    except TYPED as failure:
        error = f"{type(failure).__name__}: {failure}"
    seconds = time.monotonic() - began
    peak, left = _memory("VmHWM"), _memory("VmRSS")
    return {"peak": peak, "left": left, "seconds": seconds, "error": error, "skipped": skipped}


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            result = _run(json.loads(line))
        except Exception as failure:  # noqa: BLE001 - it is what is looked for
            import traceback

            result = {"crash": "".join(traceback.format_exception(failure))[-4000:]}
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()
