"""The endpoint operators in DAGs of users, under `dag.test()`: mapped, chained, failing."""

from __future__ import annotations

import json
import runpy
from datetime import datetime
from pathlib import Path

import pytest

from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake

FOLDER = Path(__file__).parent / "user_dags"


@pytest.fixture
def server(connect, dags_folder, database):
    dags_folder(FOLDER)
    with Server(Fleet(sites=4), Options()) as running:
        connect(running)
        yield running


@pytest.fixture
def dags(server):
    return runpy.run_path(str(FOLDER / "endpoints.py"))


def states(run):
    return sorted((ti.task_id, ti.map_index, str(ti.state)) for ti in run.get_task_instances())


def test_an_endpoint_is_expanded_over_another_ones_answer(dags, server, tmp_path):
    run = dags["expanded"].test(run_conf={"folder": f"file://{tmp_path}"})
    assert states(run) == [*[("data", number, "success") for number in range(4)], ("sites", -1, "success")]
    written = [(tmp_path / f"{number}.jsonl").read_text().splitlines() for number in range(4)]
    assert [json.loads(lines[0])["id"] for lines in written] == list(server.fleet.site_ids)


def test_templates_are_rendered_and_answers_come_back_through_xcom(dags, server):
    run = dags["templated"].test(run_conf={"site": server.fleet.stem.site_ids[1]})
    assert states(run) == [("streams", -1, "success")]
    (found,) = run.get_task_instance("streams").xcom_pull(task_ids="streams")
    assert found["stream_type"] == "MONITOR"
    assert len(found["streams"]) > 80


def test_a_wrong_argument_fails_the_task_in_its_first_try(dags, server, capfd):
    run = dags["refused"].test()
    assert states(run) == [("ask", -1, "failed")]
    assert run.get_task_instance("ask").try_number == 1
    assert "site_id: '2025-10-01' is refused; allowed: a whole number above 0" in "".join(capfd.readouterr())
    assert len(server.log) == 0


def test_the_hierarchy_is_gone_down_to_a_file_of_data_for_each_site(dags, server, tmp_path):
    dag = dags["hierarchy"]
    assert {dag.get_task(f"locus_hierarchy.{name}").pool for name in ("sites", "data")} == {"locus_api"}
    run = dag.test(run_conf={"folder": f"file://{tmp_path}"})
    assert {state for *_, state in states(run)} == {"success"}
    files = {path.stem: path.read_text().splitlines() for path in (tmp_path / "2025-10-01").iterdir()}
    assert set(files) == {str(site_id) for site_id in server.fleet.site_ids}
    for site_id, lines in files.items():
        ids = {component.id for component in server.fleet.components(int(site_id))}
        assert lines
        assert {json.loads(line)["id"] for line in lines} <= ids
    assert max(served.in_flight for served in server.log) == 1


def test_an_extraction_of_the_users_own_is_loaded_exactly(dags, server, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", f"file://{tmp_path}/lake")
    run = dags["loaded"].test(run_conf={"folder": f"file://{tmp_path}"})
    assert states(run) == [(name, -1, "success") for name in ("extract", "inventory", "load")]
    rows = [json.loads(line) for line in (tmp_path / "site.jsonl").read_text().splitlines()]
    stored = Lake(f"file://{tmp_path}/lake").read("locus_site_data").to_pylist()
    assert {row["ts"]: row["Wh_sum"] for row in stored} == {
        datetime.fromisoformat(row["ts"]): row.get("Wh_sum") for row in rows
    }
    assert len(rows) > 20
