from __future__ import annotations

import pytest

from locus_stem.api.stem import RESOLUTIONS
from locus_stem.dags.account import StemAccount
from locus_stem.dags.stem_daily_backfill import stem_daily_backfill, stream_params


def test_fetching_tasks_take_stems_pool_by_absolute_priority_and_the_others_none():
    dag = stem_daily_backfill()
    assert {task.task_id: task.pool for task in dag.tasks} == {
        "plan": "stem_api",
        "extract_streams": "stem_api",
        "load": "default_pool",
        "report": "default_pool",
    }
    assert {str(dag.get_task(name).weight_rule) for name in ("plan", "extract_streams")} != {"downstream"}


def test_a_second_accounts_dag_has_its_own_name_and_pool():
    dag = stem_daily_backfill(StemAccount("stem_west"), schedule="30 6 * * *")
    assert dag.dag_id == "stem_daily_backfill__stem_west"
    assert dag.get_task("plan").pool == "stem_api__stem_west"
    assert dag.get_task("load").conn_id == "stem_west"


def test_the_params_explain_themselves_and_only_known_resolutions_are_offered():
    for param in stream_params().values():
        assert param.schema["title"]
        assert param.description
    assert stream_params()["resolution"].schema["enum"] == list(RESOLUTIONS)


def test_defaults_can_be_given_and_unknown_ones_are_refused():
    assert stem_daily_backfill(defaults={"resolution": 3600}).params["resolution"] == 3600
    with pytest.raises(ValueError, match="resolutoin"):
        stem_daily_backfill(defaults={"resolutoin": 900})


def test_the_doc_says_that_the_meter_includes_the_battery():
    doc = stem_daily_backfill().doc_md
    assert "`MONITOR` includes the battery" in doc
    assert "Never sum the two" in doc
