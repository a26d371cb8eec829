from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.operators.retries import HAS_POLICIES
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server


def task_instance():
    return SimpleNamespace(
        map_index=-1, try_number=1, max_tries=1, get_first_reschedule_date=lambda context: None
    )


@contextmanager
def judged(operator):
    """Give a task's error the meaning that its retry policy gives it in Airflow 3.3: the errors of 3.1."""
    try:
        yield
    except Exception as error:
        if not HAS_POLICIES:
            raise
        decision = operator.retry_policy.evaluate(error, 1, 1)
        if decision.action.value == "fail":
            raise AirflowFailException(str(error)) from error
        if decision.retry_delay is not None:
            raise AirflowRescheduleException(datetime.now(UTC) + decision.retry_delay) from error
        raise


@pytest.fixture
def server():
    with Server(Fleet(sites=6), Options()) as running:
        yield running


@pytest.fixture
def connections(server, monkeypatch):
    """The sandbox's connections, in the environment; call it to change fields of one."""

    def connect(conn_id: str, like: str, **fields: object) -> None:
        connection = {**sandbox_connections(server.url)[like], **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    connect("locus_default", "locus_default")
    connect("stem_default", "stem_default")
    return connect


@pytest.fixture
def run(connections):
    """Render an operator's templates and execute it, as a task does."""

    def rendered_and_executed(operator, **context):
        events = OutletEventAccessors()
        context = {"ti": task_instance(), "params": {}, "outlet_events": events, **context}
        operator.render_template_fields(context)
        with judged(operator):
            return operator.execute(context)

    return rendered_and_executed
