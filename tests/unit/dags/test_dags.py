from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from locus_stem.dags.account import LocusAccount, StemAccount
from locus_stem.dags.alert_sync import locus_alert_sync
from locus_stem.dags.daily_backfill import locus_daily_backfill
from locus_stem.dags.inventory import locus_inventory
from locus_stem.dags.lake_maintenance import lake_maintenance
from locus_stem.dags.monthly_bulk import locus_monthly_bulk
from locus_stem.pools import FETCH_PRIORITY

DAGS = Path(__file__).parents[3] / "dags"


@pytest.mark.parametrize("make", [locus_daily_backfill, locus_monthly_bulk])
def test_fetching_tasks_take_the_accounts_pool_by_absolute_priority(make):
    dag = make()
    fetching = {
        task.task_id: task for task in dag.tasks if task.task_id in {"plan", "extract", "extract_bulk"}
    }
    assert len(fetching) == 2
    assert {task.pool for task in fetching.values()} == {"locus_api"}
    assert {str(task.weight_rule) for task in fetching.values()} != {"downstream"}
    assert {task.pool for task in dag.tasks if task.task_id in {"load", "report"}} == {"default_pool"}


def test_the_alert_sync_is_above_extraction_and_its_delivery_is_outside_the_pool():
    dag = locus_alert_sync()
    sync, deliver = dag.get_task("sync"), dag.get_task("deliver")
    assert (sync.pool, deliver.pool) == ("locus_api", "default_pool")
    assert sync.priority_weight > FETCH_PRIORITY
    assert sync.weight_rule == locus_daily_backfill().get_task("extract").weight_rule
    assert sync.downstream_task_ids == {"deliver"}
    assert (dag.max_active_runs, dag.catchup, deliver.max_active_tis_per_dag) == (1, False, 1)
    for task in (sync, deliver):
        longest = (task.retries + 1) * task.execution_timeout + task.retries * task.retry_delay
        assert longest < timedelta(minutes=45)


def test_a_second_accounts_dags_have_their_own_names_and_pool():
    account = LocusAccount("locus_west")
    assert locus_inventory(account).dag_id == "locus_inventory__locus_west"
    dag = locus_daily_backfill(account)
    assert dag.dag_id == "locus_daily_backfill__locus_west"
    assert dag.get_task("plan").pool == "locus_api__locus_west"
    assert locus_alert_sync(account).get_task("sync").pool == "locus_api__locus_west"
    assert locus_monthly_bulk(account).dag_id == "locus_monthly_bulk__locus_west"


def test_maintenance_takes_no_slot_of_the_api_and_knows_each_vendors_lake(monkeypatch):
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", "file:///lake")
    lakes = {}
    for account in (LocusAccount("locus_west"), StemAccount(), StemAccount("stem_west")):
        dag = lake_maintenance(account)
        assert [task.pool for task in dag.tasks] == ["default_pool"]
        lakes[dag.dag_id] = dag.get_task("maintain").lake().uri
    assert lakes == {
        "lake_maintenance__locus_west": "file:///lake/locus_west",
        "lake_maintenance": "file:///lake",
        "lake_maintenance__stem_west": "file:///lake/stem_west",
    }


def test_defaults_can_be_given_and_unknown_ones_are_refused():
    assert locus_daily_backfill(defaults={"granularity": "15min"}).params["granularity"] == "15min"
    with pytest.raises(ValueError, match="granulrity"):
        locus_daily_backfill(defaults={"granulrity": "15min"})


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda path: path.name)
def test_a_dag_file_imports_nothing_heavy(file):
    heavy = {"deltalake", "pyarrow", "aiohttp", "botocore"}
    code = f"import runpy, sys; runpy.run_path({str(file)!r}); print(*({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1:] in ([], [""]), done.stdout
