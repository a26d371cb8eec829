"""The DAG `lake_maintenance`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Param

from locus_stem.dags.account import LocusAccount, StemAccount
from locus_stem.dags.params import no_others
from locus_stem.dags.wiring import account_dag
from locus_stem.operators.maintenance import LocusMaintainLakeOperator, StemMaintainLakeOperator
from locus_stem.planning.retention import (
    DEFAULT_RETENTION_DAYS,
    LONGEST_RETENTION_DAYS,
    SHORTEST_RETENTION_DAYS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow.providers.common.compat.sdk import DAG

DOC = """
### Keep the lake fast and small

Of every table: **compacts** small files, **deletes** files that no version of the last `retention_days` days needs, and
**expires** older log entries. Staging of runs that never loaded goes after as many days. It changes no row, asks the
API nothing, and runs beside loads and readers; a partition that is being loaded meanwhile is left for the next week.

The change data feed of the last `retention_days` days stays readable. The log says for each table which versions are
kept, files before and after, and bytes freed.
"""


def lake_maintenance(
    account: LocusAccount | StemAccount | None = None,
    *,
    schedule: str = "0 3 * * 0",
    defaults: Mapping[str, Any] | None = None,
) -> DAG:
    """Make the maintenance's DAG for one account's lake; the two default accounts share one lake and this DAG.

    :param schedule: cron, in UTC.
    :param defaults: other defaults of the params than the usual ones.
    """
    account = account or LocusAccount()
    maintain = StemMaintainLakeOperator if isinstance(account, StemAccount) else LocusMaintainLakeOperator
    with account_dag(
        account,
        "lake_maintenance",
        schedule=schedule,
        doc=DOC,
        tags=["lake"],
        params=maintenance_params(),
        defaults=defaults,
    ) as dag:
        maintain(
            task_id="maintain",
            retention_days="{{ params.retention_days }}",
            pre_execute=no_others(dag.params),
            **account.task_args,
        )
    return dag


def maintenance_params() -> dict[str, Param]:
    """Describe the params, so that the trigger form explains itself."""
    return {
        "retention_days": Param(
            DEFAULT_RETENTION_DAYS,
            type="integer",
            minimum=SHORTEST_RETENTION_DAYS,
            maximum=LONGEST_RETENTION_DAYS,
            title="Retention (days)",
            description="Old versions and change data of so many days stay readable; what is older is deleted.",
        )
    }
