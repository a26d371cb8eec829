"""Operator that refreshes the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.operators.account import LocusOperator
from locus_stem.operators.pipeline import owner
from locus_stem.operators.retries import known_causes
from locus_stem.operators.turns import give_slot_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake


class LocusInventoryOperator(LocusOperator):
    """Bring clients, sites, components and their details into the lake, as fresh as asked.

    :param detail_max_age_days: details (install info, model settings, available data) fetched less than so many days
        ago are not asked for again (templated).
    :return: rows new, changed and unchanged by table; what was refused; requests.
    """

    template_fields: Sequence[str] = (*LocusOperator.template_fields, "detail_max_age_days")

    def __init__(self, *, detail_max_age_days: int | str = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail_max_age_days = detail_max_age_days

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch and load until done or the turn is over."""
        from datetime import UTC, datetime

        from locus_stem.pipelines.inventory import refresh_inventory
        from locus_stem.pipelines.slot import Turn

        with known_causes(context):
            hook, lake = self.hook(), self.lake()
            lake.check()
            with hook.get_conn() as client:
                turn = Turn(client)
                first_turn = context["ti"].get_first_reschedule_date(context)
                result = refresh_inventory(
                    lake,
                    hook.partner_id,
                    datetime.now(UTC).date(),
                    turn,
                    detail_max_age_days=int(self.detail_max_age_days),
                    began=first_turn.date() if first_turn else None,
                )
                self._record(lake, context, turn, result)
        if result.left:
            give_slot_back(turn.wait_left)
        return {table: str(counts) for table, counts in result.counts.items()}

    def _record(self, lake: Lake, context: Context, turn: Turn, result: Any) -> None:
        from locus_stem.pipelines.report import record_turn

        for line in record_turn(lake, owner(context), turn.usage(), result):
            self.log.info("%s", line)
