"""The DAG `stem_daily_backfill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, Param

from locus_stem.api.stem import DEFAULT_RESOLUTION, RESOLUTIONS, STREAM_TYPES
from locus_stem.dags.account import StemAccount
from locus_stem.dags.params import with_defaults
from locus_stem.dags.wiring import DEFAULT_ARGS, START_DATE, backfill_tasks, timetable
from locus_stem.operators.stem import (
    LoadStreamsOperator,
    StemExtractStreamsOperator,
    StemPlanStreamsOperator,
    StemReportOperator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    with DAG(
        account.dag_id("stem_daily_backfill"),
        schedule=timetable(schedule),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        default_args=DEFAULT_ARGS,
        doc_md=DOC,
        tags=["stem", "measurements"],
        params=with_defaults(stream_params(), defaults),
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
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Start",
            description="First UTC day. Empty, like End: `lookback_days` before the run's day.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date",
            title="End (exclusive)",
            description="The UTC day after the last one. Empty: up to and with the run's day. Needs Start.",
        ),
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
