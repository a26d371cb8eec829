from __future__ import annotations

import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag

from locus_stem.dags import LocusAccount, StemAccount, account_dags
from locus_stem.dags.dag_set import LAKE, LOCUS, STEM

TWO_LINES = """
from locus_stem.dags import LocusAccount, account_dags  # for Airflow
account_dags(LocusAccount("locus_west"))
"""


def ids(*accounts, **changes):
    return [dag.dag_id for dag in account_dags(*accounts, **changes)]


def test_the_default_accounts_have_every_dag_once_by_its_plain_name():
    assert sorted(ids(LocusAccount(), StemAccount())) == sorted([*LOCUS, *STEM, *LAKE])


def test_two_lines_of_a_users_dag_file_make_the_set_of_another_account(tmp_path):
    (tmp_path / "west.py").write_text(TWO_LINES)
    bag = DagBag(tmp_path, bundle_path=tmp_path)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(f"{name}__locus_west" for name in (*LOCUS, *LAKE))
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    pools = {task.pool for task in tasks}
    assert pools == {"locus_api__locus_west", "default_pool"}
    assert {task.partial_kwargs["conn_id"] if task.is_mapped else task.conn_id for task in tasks} == {
        "locus_west"
    }


def test_each_lake_is_maintained_once():
    def maintained(*accounts):
        return [name for name in ids(*accounts) if name.startswith("lake_maintenance")]

    west, east = LocusAccount("west"), StemAccount("east")
    assert maintained(StemAccount(), LocusAccount()) == ["lake_maintenance"]
    assert maintained(west, east) == ["lake_maintenance__west", "lake_maintenance__east"]
    shared = (LocusAccount("west", "s3://bucket/lake"), StemAccount("east", "s3://bucket/lake"))
    assert maintained(*shared) == ["lake_maintenance__west"]


@pytest.mark.parametrize("other", ["s3://bucket/lake", "s3://bucket/lake/", "s3://other_keys@bucket/lake"])
def test_two_accounts_of_one_vendor_have_no_lake_in_common(monkeypatch, other):
    with pytest.raises(ValueError, match="west and east can't share a lake"):
        account_dags(LocusAccount("west", "s3://bucket/lake"), LocusAccount("east", other))
    monkeypatch.setenv("AIRFLOW__LOCUS_STEM__LAKE_URI", "s3://bucket/lake")
    with pytest.raises(ValueError, match="locus_default and east"):
        account_dags(LocusAccount(), LocusAccount("east", other))


def test_lakes_that_are_refused_or_known_in_the_task_alone_are_told_apart_and_not_shown():
    secret = "s3://AKIA:ab/hidden@bucket/lake"
    template = "s3://{{ var.value.keys }}@bucket"
    assert account_dags(LocusAccount("west", f"{template}/west"), LocusAccount("east", f"{template}/east"))
    with pytest.raises(ValueError, match="west and east can't share a lake") as caught:
        account_dags(LocusAccount("west", secret), LocusAccount("east", secret))
    assert "hidden" not in str(caught.value)


def test_schedules_and_defaults_are_given_by_the_dags_name():
    (dag,) = (
        dag
        for dag in account_dags(
            LocusAccount("west"),
            schedules={"locus_daily_backfill": "30 2 * * *"},
            defaults={"locus_daily_backfill": {"granularity": "15min"}},
        )
        if dag.dag_id == "locus_daily_backfill__west"
    )
    assert "30 2 * * *" in str(dag.timetable.summary)
    assert dag.params["granularity"] == "15min"


def test_an_accounts_own_arguments_of_tasks_come_before_the_packages():
    def told(context):
        pass

    given = {"retries": 50, "on_failure_callback": told}
    for dag in account_dags(LocusAccount(default_args=given), StemAccount("east")):
        for task in dag.tasks:
            mine = not dag.dag_id.endswith("__east")
            assert (task.retries == 50) is mine, (dag.dag_id, task.task_id)
            assert (task.on_failure_callback == [told]) is mine
            assert task.max_retry_delay is not None  # the package's others stay


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"schedules": {"locus_dayly": "@daily"}},
            "schedules: no such DAG: 'locus_dayly'; there are: locus_inv",
        ),
        ({"defaults": {"locus_dayly": {}}}, "defaults: no such DAG"),
        ({"defaults": {"locus_inventory": {"age": 1}}}, "no such param: age"),
        ({"defaults": {"stem_daily_backfill": {}}}, "no such DAG"),
    ],
)
def test_what_is_not_there_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        account_dags(LocusAccount(), **changes)
    with pytest.raises(ValueError, match="no account"):
        account_dags()
    with pytest.raises(ValueError, match="locus_default is given twice"):
        account_dags(LocusAccount(), LocusAccount())
