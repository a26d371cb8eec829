"""The samples in the package's docstrings, which the documentation shows, run as DAGs against the sandbox."""

from __future__ import annotations

import ast
import re
import runpy
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import BaseSensorOperator, PokeReturnValue

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag

import locus_stem
from locus_stem.operators.retries import HAS_POLICIES

PACKAGE = Path(locus_stem.__file__).parent
BLOCK = re.compile(r"\.\. code-block:: (\w+)\n\n((?: +.*\n|\n)+)")
HEAD = """
from datetime import UTC, datetime
from airflow.sdk import DAG, task
from airflow.timetables.interval import CronDataIntervalTimetable
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from {module} import *
from {module} import {name}
"""


def samples():
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for language, code in BLOCK.findall(f"{ast.get_docstring(node) or ''}\n"):
                    name = getattr(node, "name", "*")
                    yield pytest.param(
                        module, name, language, textwrap.dedent(code), id=f"{file.stem}.{name}"
                    )


def looked_once(sensor):
    """Render a sensor's templates and take one look, which the API must not refuse."""
    end = datetime(2025, 10, 2, tzinfo=UTC)
    context = {"data_interval_end": end, "dag_run": SimpleNamespace(run_after=end), "params": {}}
    sensor.render_template_fields(context)
    assert isinstance(sensor.poke(context), PokeReturnValue)
    assert sensor._failing_since is None


@pytest.mark.parametrize(("module", "name", "language", "code"), samples())
def test_a_docstrings_sample_runs(module, name, language, code, server, dags_folder, database, tmp_path):
    assert language == "python"
    if "retry_policy" in code and not HAS_POLICIES:
        pytest.skip("retry policies came with Airflow 3.3")
    file = tmp_path / "dags" / "sample.py"
    file.parent.mkdir()
    if "account_dags(" in code:
        file.write_text(code)
        bag = DagBag(file.parent, bundle_path=file.parent)
        assert bag.import_errors == {}
        assert bag.dags
        return
    code = code.replace("Warehouse 1", server.fleet.stem.site_ids[1])
    called = "".join(f"{function}()\n" for function in re.findall(r"^@task.*\ndef (\w+)", code, re.MULTILINE))
    file.write_text(
        HEAD.format(module=module, name=name)
        + 'DAILY = CronDataIntervalTimetable("@daily", timezone="UTC")\n'
        + f'with DAG("sample_{name}", schedule=DAILY, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as dag:\n'
        + textwrap.indent(code + called, "    ")
    )
    dags_folder(file.parent)
    dag = runpy.run_path(str(file))["dag"]
    assert dag.tasks
    if isinstance(
        dag.tasks[0], BaseSensorOperator
    ):  # it may wait for what is still to come: a look is enough
        looked_once(dag.tasks[0])
        return
    run = dag.test(logical_date=datetime(2025, 10, 2, tzinfo=UTC))
    assert {str(ti.state) for ti in run.get_task_instances()} == {"success"}
