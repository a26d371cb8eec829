"""Operators that maintain an account's lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locus_stem.operators.account import AccountOperator, LocusOperator, StemOperator
from locus_stem.operators.retries import known_causes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context


class MaintainLakeOperator(AccountOperator):
    """Compact the tables of an account's lake, and delete old versions and abandoned staging.

    It asks the API nothing, takes no slot of its pool, and may run beside loads and readers. What a load holds at the
    time is left for the next run. An error in one table doesn't stop the others; the task fails at the end, naming it.

    :param retention_days: versions and change data of so many days are kept, at least 7 (templated).
    :return: by table: files before and after, files deleted, bytes freed, first and last version that is kept.
    """

    template_fields: Sequence[str] = (*AccountOperator.template_fields, "retention_days")

    def __init__(self, *, retention_days: int | str = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retention_days = retention_days

    def execute(self, context: Context) -> dict[str, Any]:
        """Maintain, and say what was done."""
        from locus_stem.pipelines.maintenance import maintain_lake
        from locus_stem.planning.retention import retention_days

        with known_causes(context):
            days = retention_days({"retention_days": self.retention_days})
            lake = self.lake()
            lake.check()
            report = maintain_lake(lake, days)
        for line in report.lines:
            self.log.info("%s", line)
        if report.failure:
            raise RuntimeError(report.failure)
        return {
            name: {
                "files": list(done.files),
                "files_deleted": done.vacuumed[0],
                "bytes_freed": done.vacuumed[1],
                "versions": list(done.versions),
            }
            for name, done in report.tables.items()
        }


class LocusMaintainLakeOperator(MaintainLakeOperator, LocusOperator):
    """Maintain the lake of a Locus account; see :class:`MaintainLakeOperator`.

    :param conn_id: connection of type ``locus`` (templated): it names the lake; nothing is asked with it.
    """

    template_fields: Sequence[str] = MaintainLakeOperator.template_fields


class StemMaintainLakeOperator(MaintainLakeOperator, StemOperator):
    """Maintain the lake of a Stem account; see :class:`MaintainLakeOperator`.

    :param conn_id: connection of type ``stem`` (templated): it names the lake; nothing is asked with it.
    """

    template_fields: Sequence[str] = MaintainLakeOperator.template_fields
