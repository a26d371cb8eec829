"""Airflow DAG: a task of one's own with the package's retries by cause, on Airflow 3.3 and later."""

from datetime import UTC, datetime

from airflow.sdk import dag, task

from locus_stem.hooks.locus import LocusHook
from locus_stem.operators.retries import CauseRetryPolicy


@dag(schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), params={"site_id": 3000001})
def one_site():
    """Get one site."""

    @task(pool="locus_api", retries=5, retry_policy=CauseRetryPolicy())
    def site(params):
        return LocusHook().get_site(site_id=params["site_id"])

    site()


site_by_id = one_site()
