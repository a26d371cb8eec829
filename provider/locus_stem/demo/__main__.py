"""`python -m locus_stem.demo`: run everything on this machine and prove that the tables are exact."""

from __future__ import annotations

import argparse
import fcntl
import json
import shutil
import signal
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locus_stem.dags.dag_set import LAKE, LOCUS, STEM
from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.demo.airflow_process import USER, AirflowProcess
from locus_stem.demo.noon import seconds_past_noon
from locus_stem.demo.report import print_report
from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Months in which clocks change in a zone of the fleet: Europe's March and October, America's March and November.
CLOCKS_CHANGE = (3, 10, 11)
#: What is run lasts so long at most on a slow machine: a second run of a daily DAG would load one more day.
LASTS = timedelta(minutes=10)
#: Id of the connection to the ticketing system that alerts are posted to.
WEBHOOK = "ticketing"
DAG_FILE = f'''"""Airflow DAGs of the demo."""

from locus_stem.dags import LocusAccount, StemAccount, account_dags

account_dags(
    LocusAccount(), StemAccount(), defaults={{"locus_alert_sync": {{"webhook_conn_id": "{WEBHOOK}"}}}}
)
'''


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit status is 0 only if every run succeeded and every table is exact."""
    options = _options(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    try:
        return _demo(options)
    except KeyboardInterrupt:
        _say("Ended")
        return 130


def _end(number: int, _: object) -> None:
    """End as Ctrl-C does, so that nothing that was started is left behind."""
    raise KeyboardInterrupt(number)


def _demo(options: argparse.Namespace) -> int:
    with _own_folder(options.folder) as folder:
        fleet = Fleet(sites=options.sites)
        behaviour = Options(latency_ms=options.latency_ms, zone_case=True)
        with Server(fleet, behaviour) as server, Webhook() as webhook:
            _say(f"Sandbox of both APIs at {server.url}: {options.sites} sites")
            airflow = AirflowProcess(folder / "airflow", _own_dags(folder), {})
            connections = {
                **sandbox_connections(server.url),
                WEBHOOK: {"conn_type": "http", "host": webhook.url},
            }
            _set_up(airflow, folder, connections, options.pools)
            _say("Starting Airflow")
            with airflow:
                _say(f"Airflow at {airflow.url}")
                exact = _run(airflow, fleet, server, webhook, Lake(f"file://{airflow.home}/lake"))
                if options.stay:
                    _stay(airflow)
    return 0 if exact else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m locus_stem.demo", description=__doc__)
    parser.add_argument(
        "--pools", type=Path, default=Path("dags/pools.json"), help="file of Airflow's pools (%(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="made anew for each run (%(default)s)"
    )
    parser.add_argument("--sites", type=int, default=24, help="sites of the sandbox's fleet (%(default)s)")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="time of one answer (%(default)s)")
    parser.add_argument("--stay", action="store_true", help="leave Airflow open in the browser until Ctrl-C")
    return parser.parse_args(arguments)


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Take the folder for this run alone and empty it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"Another demo runs in {folder}: wait for its end, or take another folder with --folder")
        for left in folder.iterdir():
            if left.name != ".lock":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield folder


def _own_dags(folder: Path) -> Path:
    """Write the demo's DAG file: the package's DAGs, and every run of the alert sync delivers."""
    dags = folder / "dags"
    dags.mkdir()
    (dags / "demo.py").write_text(DAG_FILE)
    return dags


def _set_up(airflow: AirflowProcess, folder: Path, connections: Mapping[str, Any], pools: Path) -> None:
    """Make the database and import pools and connections, as an operator of Airflow would."""
    file = folder / "connections.json"
    file.write_text(json.dumps(connections))
    airflow.home.mkdir(parents=True, exist_ok=True)
    _say("Making Airflow's database")
    airflow.run("db", "migrate")
    airflow.run("pools", "import", str(pools.resolve()))
    airflow.run("connections", "import", str(file))


def sandbox_connections(url: str) -> dict[str, dict[str, object]]:
    """Describe the sandbox's connections as ``airflow connections import`` takes them."""
    return {
        "locus_default": {
            "conn_type": "locus",
            "host": url,
            "login": "sandbox",
            "password": "sandbox-password",
            "extra": {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "partner_id": 1},
        },
        "stem_default": {"conn_type": "stem", "host": url, "password": "sandbox-key"},
    }


def _run(airflow: AirflowProcess, fleet: Fleet, server: Server, webhook: Webhook, lake: Lake) -> bool:
    if wait := seconds_past_noon(datetime.now(UTC), LASTS):
        _say(f"At 12:00 UTC the daily DAGs are scheduled again: waiting {wait:.0f} s until that is over")
        time.sleep(wait)
    began = time.monotonic()
    for dag_id in (*LOCUS, *STEM, *LAKE):
        airflow.wait_for_dag(dag_id)
    states = [_scheduled(airflow, dag_id) for dag_id in (*LOCUS, *STEM)]
    # A month that has ended today in UTC lasts in other zones.
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    start, end = month_with_clock_change(yesterday)
    for level in ("site", "component"):
        conf = {"start": str(start), "end": str(end), "granularity": "15min", "level": level}
        run_id = airflow.trigger("locus_daily_backfill", conf)
        states.append(_await(airflow, "locus_daily_backfill", run_id, f"{level}s, {start:%B %Y} at 15min"))
    states.append(_await(airflow, "locus_alert_sync", airflow.trigger("locus_alert_sync"), "again"))
    for dag_id in (*LOCUS, *STEM):
        airflow.pause(dag_id)  # nothing moves while it is compared
    # The last one: what it compacts is what is compared.
    states += [_scheduled(airflow, dag_id) for dag_id in LAKE]
    now = datetime.now(UTC)
    day, stem_day = (_run_day(airflow, dag_id) for dag_id in ("locus_daily_backfill", "stem_daily_backfill"))
    loaded = [
        compare.Loaded("site", "hourly", day - timedelta(days=7), day + timedelta(days=1), now),
        compare.Loaded("site", "15min", start, end, now),
        compare.Loaded("component", "15min", start, end, now),
    ]
    streams = [
        compare_stem.LoadedStreams(900, stem_day - timedelta(days=7), stem_day + timedelta(days=1), now)
    ]
    months = [_closed_year(airflow)]
    differences = [
        *compare.objects(lake, fleet),
        *compare.details(lake, fleet),
        compare.available(lake, fleet),
        *compare.measurements(lake, fleet, loaded),
        compare.coverage(lake, fleet, loaded),
        compare.bulk(lake, fleet, months, sorted(BULK_SHORT_NAMES)),
        compare.bulk_coverage(lake, fleet, months, sorted(BULK_SHORT_NAMES)),
        *compare_alerts.alerts(lake, fleet, webhook.posts),
        *compare_stem.objects(lake, fleet),
        compare_stem.streams(lake, fleet, streams),
        compare_stem.coverage(lake, fleet, streams),
        compare.runs(lake, len(server.log)),
    ]
    print_report(lake, differences, states, server.stats(), time.monotonic() - began)
    return all(state == "success" for _, state in states) and not any(
        found.differing for found in differences
    )


def _scheduled(airflow: AirflowProcess, dag_id: str) -> tuple[str, str]:
    """Let the DAG's schedule start its run of the last interval, and wait for it."""
    airflow.unpause(dag_id)
    deadline = time.monotonic() + 60
    while not (runs := [run for run in airflow.runs(dag_id) if run["run_type"] == "scheduled"]):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no run of {dag_id} was scheduled:\n{airflow.log_tail()}")
        time.sleep(0.2)
    return _await(airflow, dag_id, runs[0]["dag_run_id"], "scheduled")


def _await(airflow: AirflowProcess, dag_id: str, run_id: str, what: str) -> tuple[str, str]:
    began = time.monotonic()
    state = airflow.wait(dag_id, run_id)
    _say(f"{dag_id} ({what}): {state} in {time.monotonic() - began:.0f} s")
    last = max(airflow.tasks(dag_id, run_id), key=lambda task: task["end_date"] or "")
    for line in airflow.task_log(dag_id, run_id, last["task_id"], last["try_number"]).splitlines():
        if not line.startswith(
            ("::", "DAG bundles", "Filling", "Task ", "Pushing", "Done", "Secrets", "Connection ")
        ):
            _say(f"    {line}")
    return f"{dag_id} ({what})", state


def _run_day(airflow: AirflowProcess, dag_id: str) -> date:
    """Give the day of the scheduled run."""
    (started,) = (
        run["data_interval_start"] for run in airflow.runs(dag_id) if run["run_type"] == "scheduled"
    )
    return datetime.fromisoformat(started).astimezone(UTC).date()


def _closed_year(airflow: AirflowProcess) -> tuple[date, date]:
    """Give the months of the scheduled bulk run: the last one closed at its interval's end and the 11 before."""
    ended = airflow.runs("locus_monthly_bulk")[0]["data_interval_end"]
    end = datetime.fromisoformat(ended).astimezone(UTC).date().replace(day=1)
    return end.replace(year=end.year - 1), end


def month_with_clock_change(today: date) -> tuple[date, date]:
    """Give the last full month in which clocks change somewhere in the fleet: its first day and the day after it."""
    end = today.replace(day=1)
    while True:
        start = (end - timedelta(days=1)).replace(day=1)
        if start.month in CLOCKS_CHANGE:
            return start, end
        end = start


def _stay(airflow: AirflowProcess) -> None:
    _say(
        f"Airflow stays open at {airflow.url}, user {USER}, password {airflow.password}. Ctrl-C ends everything."
    )
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
    _say("Ending")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
