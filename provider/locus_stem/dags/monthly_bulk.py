"""The DAG `locus_monthly_bulk`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param

from locus_stem.dags.account import LocusAccount
from locus_stem.dags.wiring import account_dag, backfill_tasks
from locus_stem.operators.backfill import LocusReportOperator
from locus_stem.operators.bulk import LoadBulkOperator, LocusExtractBulkOperator, LocusPlanBulkOperator
from locus_stem.planning.bulk import MONTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import DAG

DOC = """
### Months of all sites, with prorated, expected and modeled fields

**plan → extract → load → report.** Bulk data answers the months of all sites at once, in one time zone: so it takes one
request for each distinct zone of the sites and 12 months, and of each answer only that zone's sites are kept.

A null is kept as null: the API has the site's month and no value. Prorated fields (such as `Whp_sum`) stand beside the
plain ones (`Wh_sum`). What the API no longer answers becomes null. Sites that bulk data has no data object of (those
without components) are named in the report and marked in `coverage`. Only months that have ended are loaded.

Tables: `locus_bulk_monthly`, `coverage`, `runs`.
"""


def locus_monthly_bulk(
    account: LocusAccount | None = None,
    *,
    schedule: str = "0 13 2 * *",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the bulk DAG for one account.

    :param schedule: cron, in UTC. On the second day of a month the one before has ended in every zone.
    :param defaults: other defaults of the params than the usual ones.
    """
    account = account or LocusAccount()
    with account_dag(
        account,
        "locus_monthly_bulk",
        schedule=schedule,
        doc=DOC,
        tags=["locus", "measurements"],
        params=bulk_params(),
        defaults=defaults,
        max_active_runs=4,
    ) as dag:
        backfill_tasks(
            account,
            plan=LocusPlanBulkOperator,
            extract=LocusExtractBulkOperator,
            load=LoadBulkOperator,
            report=LocusReportOperator,
            extract_id="extract_bulk",
        )
    return dag


def bulk_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        "start_month": Param(
            None,
            type=["null", "string"],
            pattern=MONTH,
            title="Start month",
            description="First month, `YYYY-MM`. Empty, like End month: the last closed month and the 11 before it.",
        ),
        "end_month": Param(
            None,
            type=["null", "string"],
            pattern=MONTH,
            title="End month (exclusive)",
            description="The month after the last one, `YYYY-MM`. Empty: up to the last closed one. Needs Start month.",
        ),
        "fields": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Fields",
            description="Short names such as `Wh_sum`, one a line. Empty: all that bulk data offers the partner.",
        ),
    }
