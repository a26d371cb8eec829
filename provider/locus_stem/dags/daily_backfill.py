"""The DAG `locus_daily_backfill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Param

from locus_stem.api.granularity import INTERVAL_GRANULARITIES
from locus_stem.dags.account import LocusAccount
from locus_stem.dags.params import range_params, run_params
from locus_stem.dags.wiring import account_dag, backfill_tasks
from locus_stem.operators.backfill import (
    LoadBackfillOperator,
    LocusExtractOperator,
    LocusPlanBackfillOperator,
    LocusReportOperator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow.providers.common.compat.sdk import DAG

DOC = """
### Measurements of sites or components, exactly

**plan → extract → load → report.** The plan turns the params into the fewest requests that the API's limits allow;
extract asks them one at a time in the pool's slot; load makes the table equal to the answers, atomically a month;
report sums up: requests, 429s, retries, API time, rows, who was skipped and why.

A scheduled run takes the seven days before its day again, because the API revises values, and reaches back to the last
day that the table `coverage` shows (at most 31 days). A hand-given range is asked in the longest slices that the API
takes: a year of 15min is 12 requests a site.

Tables: `locus_site_data` or `locus_component_data`, `coverage`, `runs`.
"""


def locus_daily_backfill(
    account: LocusAccount | None = None,
    *,
    schedule: str = "0 12 * * *",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the backfill's DAG for one account.

    :param schedule: cron, in UTC. At 12:00 UTC the day before has ended in every zone.
    :param defaults: other defaults of the params than the usual ones.
    """
    account = account or LocusAccount()
    with account_dag(
        account,
        "locus_daily_backfill",
        schedule=schedule,
        doc=DOC,
        tags=["locus", "measurements"],
        params=backfill_params(),
        defaults=defaults,
        max_active_runs=4,
    ) as dag:
        backfill_tasks(
            account,
            plan=LocusPlanBackfillOperator,
            extract=LocusExtractOperator,
            load=LoadBackfillOperator,
            report=LocusReportOperator,
        )
    return dag


def backfill_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        **range_params("First local day of each site", "The local day after the last one"),
        "level": Param(
            "site",
            type="string",
            enum=["site", "component"],
            title="Level",
            description="Measurements of whole sites, or of their components.",
        ),
        "granularity": Param(
            "hourly",
            type="string",
            enum=list(INTERVAL_GRANULARITIES),
            title="Granularity",
            description="Length of an interval.",
        ),
        "fields": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Fields",
            description="Short names such as `Wh_sum`, one a line. Empty: every measured field that an entity has.",
        ),
        "site_ids": Param(
            None,
            type=["null", "array"],
            title="Site ids",
            description="Only these sites, one id a line (at level component: their components). Empty: all.",
        ),
        "component_ids": Param(
            None,
            type=["null", "array"],
            title="Component ids",
            description="Only these components, one id a line; needs level component. Empty: all that measure.",
        ),
        **run_params(),
    }
