"""Operators of the Stem pipeline: clients, sites and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem import pools
from locus_stem.operators.account import StemOperator
from locus_stem.operators.pipeline import ExtractOperator, LoadOperator, PlanOperator, ReportOperator
from locus_stem.operators.run_day import run_day

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from locus_stem.pipelines.extract import Source
    from locus_stem.pipelines.load import Loaded
    from locus_stem.pipelines.plan import Planned
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.staging import Staging


class StemPlanStreamsOperator(StemOperator, PlanOperator):
    """Bring clients and sites up to date, and turn the run's params into one request for each site and 365 days.

    The run's params are those of the DAG ``stem_daily_backfill``.

    :return: the batches' addresses; an extract task each.
    """

    tables = ("stem_clients", "stem_sites", "coverage")

    def plan(self, lake: Lake, turn: Turn, context: Context) -> Planned:
        """Plan the run."""
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.stem import plan_stem_backfill

        dag_run = context["dag_run"]
        return plan_stem_backfill(
            lake,
            context["params"],
            scope(dag_run.dag_id, dag_run.run_id),
            run_day(context),
            turn,
            scheduled=dag_run.run_type == "scheduled",
            slots=pools.STEM.slots,
            try_number=context["ti"].try_number,
        )


class StemExtractStreamsOperator(StemOperator, ExtractOperator):
    """Extract one batch of streams into staging, one request in flight; batches run beside each other in the pool.

    :param batch: address of the batch, from the plan.
    """

    def source(self, staging: Staging) -> Source:  # noqa: ARG002
        """Give what puts requests for streams and reads their answers."""
        from locus_stem.pipelines.stem_extract import Streams

        return Streams()


class LoadStreamsOperator(StemOperator, LoadOperator):
    """Load the streams that a run has staged, exactly, atomically a month, and record their coverage.

    :param staging: address of the run's staging (templated).
    :return: rows new, changed, unchanged and withdrawn; sites skipped and streams unavailable, with the reasons.
    """

    tables = ("stem_streams", "coverage")

    def load(self, lake: Lake, staging: Staging) -> Loaded:
        """Load the staged parts."""
        from locus_stem.pipelines.stem import load_stem_backfill

        return load_stem_backfill(lake, staging)


class StemReportOperator(StemOperator, ReportOperator):
    """Report a run in the log and in the table `runs`, remove its staging, and give the run its verdict.

    :param plan_task_id: task that planned.
    :param load_task_id: task that loaded.
    """
