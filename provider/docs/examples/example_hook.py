"""Airflow DAG: a task of one's own that asks through the hook, in the account's pool."""

from datetime import UTC, datetime

from airflow.sdk import dag, task

from locus_stem.hooks.locus import LocusHook


@dag(schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC))
def site_names():
    """List the partner's sites by name."""

    @task(pool="locus_api")
    def names():
        hook = LocusHook("locus_default")
        with hook.get_conn():
            return [site["name"] for site in hook.get_partner_sites(partner_id=hook.partner_id)]

    names()


names_of_sites = site_names()
