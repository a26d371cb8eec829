"""What the DAGs are wired from: a schedule with intervals, default arguments, and the chain of a backfill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from locus_stem.dags.params import with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Param

    from locus_stem.dags.account import Account
    from locus_stem.operators.pipeline import ExtractOperator, LoadOperator, PlanOperator, ReportOperator

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "locus_stem",
    "retries": 5,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
}
#: Long before any plant's data: Airflow's own backfill takes no day before it.
START_DATE = datetime(2000, 1, 1, tzinfo=UTC)


def account_dag(
    account: Account,
    name: str,
    *,
    schedule: str,
    doc: str,
    tags: list[str],
    params: dict[str, Param],
    defaults: Mapping[str, Any] | None,
    max_active_runs: int = 1,
    default_args: Mapping[str, Any] | None = None,
) -> DAG:
    """Make a DAG of an account, without tasks.

    :param schedule: cron, in UTC.
    :param defaults: other defaults of the params than those of `params`.
    :param default_args: other arguments of its tasks than :data:`DEFAULT_ARGS`; the account's own come before both.
    """
    return DAG(
        account.dag_id(name),
        schedule=timetable(schedule),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=max_active_runs,
        default_args={**DEFAULT_ARGS, **(default_args or {}), **account.default_args},
        doc_md=doc,
        tags=tags,
        params=with_defaults(params, defaults),
    )


def timetable(cron: str) -> CronDataIntervalTimetable:
    """Schedule with data intervals, in UTC: a bare cron text would give intervals of no length."""
    return CronDataIntervalTimetable(cron, timezone="UTC")


def backfill_tasks(
    account: Account,
    *,
    plan: type[PlanOperator],
    extract: type[ExtractOperator],
    load: type[LoadOperator],
    report: type[ReportOperator],
    extract_id: str = "extract",
) -> None:
    """Wire plan, extract (mapped, in the pool), load (one at a time) and report into the DAG that is being made.

    :param extract_id: the extract task's id; the runs of one id tell how long its requests take.
    """
    planned = plan(task_id="plan", **account.fetch_args)
    extracted = extract.partial(task_id=extract_id, **account.fetch_args).expand(batch=planned.output)
    loaded = load(
        task_id="load",
        staging="{{ ti.xcom_pull(task_ids='plan', key='staging') }}",
        max_active_tis_per_dag=1,
        **account.task_args,
    )
    extracted >> loaded >> report(task_id="report", trigger_rule="all_done", **account.task_args)
