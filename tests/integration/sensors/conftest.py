from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server


@pytest.fixture
def serve(monkeypatch):
    """Start a sandbox whose clock is the test's; its connections stand in the environment."""
    running = []

    def start(now=None, fleet_options=None, **options):
        fleet = Fleet(sites=6, now=now, **(fleet_options or {}))
        server = Server(fleet, Options(**options)).__enter__()
        running.append(server)
        for conn_id, connection in sandbox_connections(server.url).items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture
def context():
    """The context of a run that began a minute ago; XComs are kept in its task instance."""
    xcoms = {}
    ti = SimpleNamespace(
        xcoms=xcoms,
        xcom_push=lambda key, value: xcoms.update({key: value}),
        get_first_reschedule_date=lambda _: None,
    )
    run = SimpleNamespace(run_after=datetime.now(UTC) - timedelta(minutes=1))
    return {"ti": ti, "dag_run": run, "params": {}, "task_reschedule_count": 0}
