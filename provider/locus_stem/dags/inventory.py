"""The DAG `locus_inventory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Param

from locus_stem.dags.account import LocusAccount
from locus_stem.dags.params import no_others
from locus_stem.dags.wiring import account_dag
from locus_stem.operators.inventory import LocusInventoryOperator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow.providers.common.compat.sdk import DAG

DOC = """
### Who and what there is

Brings the partner's **clients, sites and components** into the lake, and of each site and component its details:
install info, model settings, and what data it has. The lists are asked for in every run (3 requests); a detail only
when it is older than `detail_max_age_days` days.

Tables: `locus_clients`, `locus_sites`, `locus_components`, `locus_install_info`, `locus_model_settings`,
`locus_data_available`. What the API no longer lists keeps its row and gets `removed_on`.
"""


def locus_inventory(
    account: LocusAccount | None = None,
    *,
    schedule: str = "0 11 * * *",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the inventory's DAG for one account.

    :param schedule: cron, in UTC; an hour before the daily backfill, which uses what this run finds.
    :param defaults: other defaults of the params than the usual ones.
    """
    account = account or LocusAccount()
    with account_dag(
        account,
        "locus_inventory",
        schedule=schedule,
        doc=DOC,
        tags=["locus", "inventory"],
        params=inventory_params(),
        defaults=defaults,
    ) as dag:
        LocusInventoryOperator(
            task_id="inventory",
            detail_max_age_days="{{ params.detail_max_age_days }}",
            pre_execute=no_others(dag.params),
            **account.fetch_args,
        )
    return dag


def inventory_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        "detail_max_age_days": Param(
            7,
            type="integer",
            minimum=0,
            maximum=3650,
            title="Age of details (days)",
            description="Details fetched less than so many days ago are not asked for again; 0 asks for all.",
        )
    }
