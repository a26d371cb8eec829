"""DAGs as users write them with the endpoint operators."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from locus_stem.operators.component_data import locus_hierarchy_data
from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator
from locus_stem.operators.inventory import LocusInventoryOperator
from locus_stem.operators.measurements import LoadMeasurementsOperator

COMMON = {
    "start_date": datetime(2025, 1, 1, tzinfo=UTC),
    "params": {"day": "2025-10-01", "folder": "file:///tmp", "site": "a"},
    "default_args": {"retries": 3},
}


def site_request(site):
    """Make the arguments of one mapped task."""
    return {
        "site_id": site["id"],
        "fields": ["Wh_sum"],
        "gran": "hourly",
        "tz": "UTC",
        "start": "2025-10-01T00:00:00",
        "end": "2025-10-01T23:59:59",
    }


with DAG("expanded", schedule=None, **COMMON) as expanded:
    sites = LocusEndpointOperator(task_id="sites", endpoint="get_partner_sites", keys=["id"])
    LocusEndpointOperator.partial(
        task_id="data", endpoint="get_site_data", path="{{ params.folder }}/{{ ti.map_index }}.jsonl"
    ).expand(arguments=sites.output.map(site_request))

with DAG("templated", schedule=None, **COMMON) as templated:
    streams = StemEndpointOperator(
        task_id="streams",
        endpoint="get_site_streams",
        arguments={
            "site_id": "{{ params.site }}",
            "start": "{{ params.day }}T00:00:00Z",
            "end": "{{ macros.ds_add(params.day, 1) }}T00:00:00Z",
        },
    )

with DAG("refused", schedule=None, **COMMON) as refused:
    LocusEndpointOperator(task_id="ask", endpoint="get_site", arguments={"site_id": "{{ params.day }}"})

with DAG("hierarchy", schedule=None, **COMMON) as hierarchy:
    locus_hierarchy_data(
        folder="{{ params.folder }}/{{ params.day }}/",
        gran="hourly",
        start="{{ params.day }}T00:00:00",
        end="{{ params.day }}T23:59:59",
    )

with DAG("loaded", schedule=None, **COMMON) as loaded:
    inventory = LocusInventoryOperator(task_id="inventory")
    extract = LocusEndpointOperator(
        task_id="extract",
        endpoint="get_site_data",
        arguments=site_request({"id": 3000001}),
        path="{{ params.folder }}/site.jsonl",
    )
    load = LoadMeasurementsOperator(
        task_id="load",
        path="{{ ti.xcom_pull('extract')['path'] }}",
        level="site",
        granularity="hourly",
        entity_ids=[3000001],
        fields=["Wh_sum"],
        start="{{ params.day }}T00:00:00+00:00",
        end="{{ macros.ds_add(params.day, 1) }}T00:00:00+00:00",
    )
    inventory >> extract >> load
