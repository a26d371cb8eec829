"""The DAG `stem_daily_backfill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Param

from locus_stem.api.stem import DEFAULT_RESOLUTION, RESOLUTIONS, STREAM_TYPES
from locus_stem.dags.account import StemAccount
from locus_stem.dags.params import range_params, run_params
from locus_stem.dags.wiring import account_dag, backfill_tasks
from locus_stem.operators.stem import (
    LoadStreamsOperator,
    StemExtractStreamsOperator,
    StemPlanStreamsOperator,
    StemReportOperator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import DAG

DOC = """
### Clients, sites and streams of Stem's storage, exactly

**plan → extract → load → report.** The plan brings the lists of clients and sites up to date, at most once a day, and
makes one request for each site and 365 days, with all the streams that the site has; extract asks them, with as many
batches beside each other as the pool has slots; load makes the table equal to the answers, atomically a month; report
sums up.

**`MONITOR` includes the battery**: it is what the meter sees, site and storage together, positive where power is taken
from the grid. `CONVERTER` is the storage alone, positive where it charges. **Never sum the two.** `INTERVAL_REVENUE` is
a third party's meter.

Days are UTC days. A scheduled run takes the seven days before its day again and reaches back to the last day that the
table `coverage` shows (at most 31 days). No site is asked for a time before its first stream begins, nor for a stream
that it lacks. A value that the API withdraws becomes null. Only intervals that have ended are loaded.

Tables: `stem_clients`, `stem_sites`, `stem_streams` (mean power in kW), `coverage`, `runs`.
"""


def stem_daily_backfill(
    account: StemAccount | None = None,
    *,
    schedule: str = "0 12 * * *",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the Stem backfill's DAG for one account.

    :param schedule: cron, in UTC.
    :param defaults: other defaults of the params than the usual ones.
    """
    account = account or StemAccount()
    with account_dag(
        account,
        "stem_daily_backfill",
        schedule=schedule,
        doc=DOC,
        tags=["stem", "measurements"],
        params=stream_params(),
        defaults=defaults,
        max_active_runs=4,
    ) as dag:
        backfill_tasks(
            account,
            plan=StemPlanStreamsOperator,
            extract=StemExtractStreamsOperator,
            load=LoadStreamsOperator,
            report=StemReportOperator,
            extract_id="extract_streams",
        )
    return dag


def stream_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        **range_params("First UTC day", "The UTC day after the last one"),
        "stream_types": Param(
            None,
            type=["null", "array"],
            examples=list(STREAM_TYPES),
            title="Stream types",
            description="Empty: all that a site has. MONITOR includes CONVERTER: never sum them.",
        ),
        "resolution": Param(
            DEFAULT_RESOLUTION,
            type="integer",
            enum=list(RESOLUTIONS),
            title="Resolution (s)",
            description="Length of an interval in seconds.",
        ),
        "site_ids": Param(
            None,
            type=["null", "array"],
            title="Site ids",
            description="Only these sites, one id a line; ids are names and may hold any character. Empty: all.",
        ),
        **run_params(),
    }
