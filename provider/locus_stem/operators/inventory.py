"""Operator that refreshes the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.operators.account import FetchOperator, LocusOperator
from locus_stem.operators.pipeline import owner
from locus_stem.operators.retries import known_causes
from locus_stem.operators.turns import give_slot_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.pipelines.knowledge import Refreshed
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.counts import LoadCounts
    from locus_stem.tables.lake import Lake


#: The lists, of which each run asks, and the details.
INVENTORY_TABLES = (
    *("locus_clients", "locus_sites", "locus_components"),
    *("locus_install_info", "locus_model_settings", "locus_data_available"),
)


class LocusInventoryOperator(LocusOperator, FetchOperator):
    """Bring clients, sites, components and their details into the lake, as fresh as asked.

    :param detail_max_age_days: details (install info, model settings, available data) fetched less than so many days
        ago are not asked for again (templated).
    :return: rows new, changed and unchanged by table; what was refused; requests.
    """

    tables = (*INVENTORY_TABLES, "coverage", "runs")
    template_fields: Sequence[str] = (*LocusOperator.template_fields, "detail_max_age_days")

    def __init__(self, *, detail_max_age_days: int | str = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail_max_age_days = detail_max_age_days

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch and load until done or the turn is over."""
        from datetime import UTC, datetime

        from locus_stem.pipelines.inventory import refresh_inventory
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.report import failure_recorded
        from locus_stem.pipelines.slot import Turn

        with known_causes(context):
            hook, lake = self.hook(), self.lake()
            lake.check()
            with hook.get_conn() as client:
                turn = Turn(client)
                dag_run = context["dag_run"]
                with failure_recorded(lake, owner(context), turn):
                    result = refresh_inventory(
                        lake,
                        hook.partner_id,
                        datetime.now(UTC).date(),
                        turn,
                        detail_max_age_days=int(self.detail_max_age_days),
                        run_scope=scope(dag_run.dag_id, dag_run.run_id),
                    )
                written, endpoints = self._record(lake, context, turn, result)
            if not result.left:
                self._tell(lake, context, written, endpoints)
        if result.left:
            give_slot_back(turn.wait_left)
        return {table: str(counts) for table, counts in result.counts.items()}

    def _record(
        self, lake: Lake, context: Context, turn: Turn, result: Refreshed
    ) -> tuple[dict[str, LoadCounts], list[str]]:
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.report import record_turn
        from locus_stem.pipelines.written import add_written

        task = owner(context)
        recorded, lines = record_turn(lake, task, turn.usage(), result)
        for line in lines:
            self.log.info("%s", line)
        run_scope = scope(task["dag_id"], task["run_id"])
        return add_written(lake, run_scope, {**result.counts, "runs": recorded}, turn.endpoints)

    def _tell(
        self, lake: Lake, context: Context, written: dict[str, LoadCounts], endpoints: list[str]
    ) -> None:
        from locus_stem.pipelines.inventory import fetched_since
        from locus_stem.pipelines.plan import scope
        from locus_stem.tables.counts import LoadCounts
        from locus_stem.tables.staging import remove_staging

        dag_run: Any = context["dag_run"]
        silent = [table for table in INVENTORY_TABLES if table not in written]
        begun = (dag_run.start_date or dag_run.run_after).date()
        of_killed_tries = dict.fromkeys(fetched_since(lake, silent, begun), LoadCounts())
        if of_killed_tries:  # what was fetched is remembered in `coverage`
            of_killed_tries["coverage"] = LoadCounts()
        self.wrote(context, lake, {**of_killed_tries, **written}, endpoints=endpoints)
        remove_staging(lake, scope(dag_run.dag_id, dag_run.run_id))
