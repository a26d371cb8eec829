from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from locus_stem.demo.__main__ import sandbox_connections
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server


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
        context = {"ti": SimpleNamespace(map_index=-1, try_number=1), "params": {}, **context}
        operator.render_template_fields(context)
        return operator.execute(context)

    return rendered_and_executed
