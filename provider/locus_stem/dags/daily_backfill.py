"""The DAG `locus_daily_backfill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import DAG, Param

from locus_stem.api.granularity import INTERVAL_GRANULARITIES
from locus_stem.dags.account import LocusAccount
from locus_stem.dags.params import with_defaults
from locus_stem.dags.wiring import DEFAULT_ARGS, START_DATE, backfill_tasks, timetable
from locus_stem.operators.backfill import (
    LoadBackfillOperator,
    LocusExtractOperator,
    LocusPlanBackfillOperator,
    LocusReportOperator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

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
    with DAG(
        account.dag_id("locus_daily_backfill"),
        schedule=timetable(schedule),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        default_args=DEFAULT_ARGS,
        doc_md=DOC,
        tags=["locus", "measurements"],
        params=with_defaults(backfill_params(), defaults),
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
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Start",
            description="First local day of each site. Empty, like End: `lookback_days` before the run's day.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date",
            title="End (exclusive)",
            description="The local day after the last one. Empty: up to and with the run's day. Needs Start.",
        ),
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
        "lookback_days": Param(
            7,
            type="integer",
            minimum=0,
            maximum=366,
            title="Lookback (days)",
            description="Days before the run's day that are asked again. Counts only where Start and End are empty.",
        ),
        "plan_only": Param(
            False,
            type="boolean",
            title="Plan only",
            description="Log the number of requests and the expected time, and end.",
        ),
    }
