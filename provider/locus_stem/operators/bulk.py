"""Operators of the monthly bulk pipeline; its report is that of the backfill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.operators.account import LocusOperator
from locus_stem.operators.pipeline import ExtractOperator, LoadOperator, PlanOperator
from locus_stem.operators.run_day import closed_as_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from locus_stem.pipelines.extract import Source
    from locus_stem.pipelines.load import Loaded
    from locus_stem.pipelines.plan import Planned
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.staging import Staging


class LocusPlanBulkOperator(LocusOperator, PlanOperator):
    """Turn the run's params into one bulk request for each zone and 12 months, written to staging in batches.

    The run's params are those of the DAG ``locus_monthly_bulk``.

    :return: the batches' addresses; an extract task each.
    """

    tables = ("locus_clients", "locus_sites", "locus_data_available", "coverage")

    def plan(self, lake: Lake, turn: Turn, context: Context) -> Planned:
        """Plan the run."""
        from locus_stem.pipelines.bulk import plan_monthly_bulk
        from locus_stem.pipelines.plan import scope

        dag_run = context["dag_run"]
        return plan_monthly_bulk(
            lake,
            context["params"],
            self.hook().partner_id,
            scope(dag_run.dag_id, dag_run.run_id),
            closed_as_of(context),
            turn,
            try_number=context["ti"].try_number,
        )


class LocusExtractBulkOperator(LocusOperator, ExtractOperator):
    """Extract one batch of bulk requests into staging: of each answer the sites of the zone asked.

    :param batch: address of the batch, from the plan.
    """

    def source(self, staging: Staging) -> Source:
        """Give what puts bulk requests and reads their answers."""
        from locus_stem.pipelines.bulk_extract import BulkMonths

        return BulkMonths(self.hook().partner_id, staging.read_json("plan.json")["sites"])


class LoadBulkOperator(LocusOperator, LoadOperator):
    """Load the months that a run has staged, exactly, and record their coverage.

    :param staging: address of the run's staging (templated).
    :return: rows new, changed, unchanged and withdrawn; sites skipped and sites without data, with the reasons.
    """

    tables = ("locus_bulk_monthly", "coverage")

    def load(self, lake: Lake, staging: Staging) -> Loaded:
        """Load the staged parts."""
        from locus_stem.pipelines.bulk import load_monthly_bulk

        return load_monthly_bulk(lake, staging)
