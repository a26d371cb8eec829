"""Operators of the daily backfill: measurements of sites or components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.operators.account import LocusOperator
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

#: What planning refreshes where the lake doesn't have it fresh.
PLANNED_WITH = ("locus_clients", "locus_sites", "locus_components", "locus_data_available", "coverage")


class LocusPlanBackfillOperator(LocusOperator, PlanOperator):
    """Turn the run's params into the fewest data requests, written to staging in batches.

    The run's params are those of the DAG ``locus_daily_backfill``.

    :return: the batches' addresses; an extract task each.
    """

    tables = PLANNED_WITH

    def plan(self, lake: Lake, turn: Turn, context: Context) -> Planned:
        """Plan the run."""
        from locus_stem.pipelines.plan import plan_daily_backfill, scope

        dag_run = context["dag_run"]
        return plan_daily_backfill(
            lake,
            context["params"],
            self.hook().partner_id,
            scope(dag_run.dag_id, dag_run.run_id),
            run_day(context),
            turn,
            scheduled=dag_run.run_type == "scheduled",
            try_number=context["ti"].try_number,
        )


class LocusExtractOperator(LocusOperator, ExtractOperator):
    """Extract one batch of data requests into staging.

    A retry, and a turn after the slot was given back, go on where the last one stopped.

    :param batch: address of the batch, from the plan.
    """

    def source(self, staging: Staging) -> Source:  # noqa: ARG002
        """Give what puts data requests and reads their answers."""
        from locus_stem.pipelines.extract import Measurements

        return Measurements()


class LoadBackfillOperator(LocusOperator, LoadOperator):
    """Load what a run has staged, atomically a month, and record its coverage.

    :param staging: address of the run's staging (templated).
    :return: rows new, changed, unchanged and withdrawn; entities and fields skipped, with the reasons.
    """

    tables = ("locus_site_data", "locus_component_data", "coverage")

    def load(self, lake: Lake, staging: Staging) -> Loaded:
        """Load the staged parts."""
        from locus_stem.pipelines.load import load_backfill

        return load_backfill(lake, staging)


class LocusReportOperator(LocusOperator, ReportOperator):
    """Report a run in the log and in the table `runs`, remove its staging, and give the run its verdict.

    :param plan_task_id: task that planned.
    :param load_task_id: task that loaded.
    """
