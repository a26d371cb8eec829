"""Airflow DAG: yesterday's energy of every site, one mapped task and one file a site."""

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from locus_stem.operators.endpoint import LocusEndpointOperator

with DAG(
    "site_energy",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"folder": "s3://aws_default@my-bucket/energy"},
) as dag:
    sites = LocusEndpointOperator(task_id="sites", endpoint="get_partner_sites", keys=["id"])

    @task
    def requests(sites, day):
        """Make the arguments of one request a site; what another task gives isn't rendered again."""
        common = {"fields": ["Wh_sum"], "gran": "hourly", "tz": "UTC"}
        period = {"start": f"{day}T00:00:00", "end": f"{day}T23:59:59"}
        return [{"site_id": site["id"], **common, **period} for site in sites]

    LocusEndpointOperator.partial(
        task_id="energy",
        endpoint="get_site_data",
        path="{{ params.folder }}/{{ ds }}/{{ ti.map_index }}.jsonl",
    ).expand(arguments=requests(sites.output, "{{ macros.ds_add(ds, -1) }}"))
