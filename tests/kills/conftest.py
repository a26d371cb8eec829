"""A real Airflow on Postgres, its parts processes of their own, with a sandbox, a webhook and a lake."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.demo.webhook import Webhook
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from support.airflow_parts import airflow_parts
from support.disk import small_disk
from support.killed_airflow import ALERT_ACCOUNTS, HARD, HARD_STEM, HOOK, KilledAirflow, Ledger
from support.services import postgres

#: Bytes of the lake's disk.
SIZE = 128 << 20
HERE = Path(__file__).parent
#: The package's DAGs with its retries; only their delays are shorter.
DAG_FILE = f'''"""Airflow DAGs whose tasks are killed."""

from datetime import timedelta

from airflow.timetables.simple import NullTimetable

from locus_stem.dags import LocusAccount, StemAccount, account_dags

soon = {{"retry_delay": timedelta(seconds=2), "retry_exponential_backoff": False}}
often = {{**soon, "retries": 50}}
alerts = [LocusAccount(name, default_args=soon) for name in {ALERT_ACCOUNTS}]
for dag in account_dags(
    LocusAccount(default_args=soon),
    StemAccount(default_args=soon),
    *alerts,
    LocusAccount("{HARD}", default_args=often),
    StemAccount("{HARD_STEM}", default_args=often),
    defaults={{"locus_alert_sync": {{"webhook_conn_id": "{HOOK}"}}}},
):
    dag.timetable = NullTimetable()  # only what is triggered runs
    globals()[dag.dag_id] = dag
'''
#: Airflow notices the dead after half a minute, not after five; what it does then is the same.
NOTICED_SOON = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
}


@pytest.fixture(scope="session")
def ledger(request):
    """The results: a line for each test, kept where all of them were run and passed, none skipped."""
    held = Ledger()
    yield held
    session, options = request.session, request.config.option
    whole = not options.keyword and session.config.args == ["tests/kills"]
    if (
        whole
        and not session.testsfailed
        and not session.shouldstop
        and len(held.rows) == session.testscollected
    ):
        held.write()


def impatient(connection):
    """Give up on an answer that hangs after a few seconds."""
    return {**connection, "extra": {**connection.get("extra", {}), "timeout": 4}}


@pytest.fixture(scope="session")
def killed(tmp_path_factory, ledger):
    folder = tmp_path_factory.mktemp("kills")
    home, dags, points = folder / "airflow", folder / "dags", folder / "points"
    for made in (home, dags, points):
        made.mkdir()
    (dags / "killed.py").write_text(DAG_FILE)
    shutil.copy(HERE.parent / "system" / "user_dags" / "sensors.py", dags)
    with (
        Server(Fleet(sites=8), Options(latency_ms=100)) as server,
        Webhook() as webhook,
        postgres(folder) as database,
        small_disk(home / "lake", SIZE) as disk,
    ):
        known = sandbox_connections(server.url)
        connections = {
            **known,
            **dict.fromkeys(ALERT_ACCOUNTS, known["locus_default"]),
            HARD: impatient(known["locus_default"]),
            HARD_STEM: impatient(known["stem_default"]),
            HOOK: {"conn_type": "http", "host": webhook.url},
        }
        environment = {
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()},
            **NOTICED_SOON,
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(HERE / "plugins"),
            "KILL_POINTS": str(points),
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        }
        with airflow_parts(home, dags, environment, database=database.url()) as airflow:
            lake = Lake(f"file://{home}/lake")
            yield KilledAirflow(airflow, database, server, webhook, lake, points, ledger, disk)
