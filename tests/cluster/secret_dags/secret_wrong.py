"""An Airflow DAG whose connections are refused, and whose trigger isn't there."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.triggers.base import BaseTrigger

from locus_stem.operators.endpoint import LocusEndpointOperator, StemEndpointOperator


class NowhereTrigger(BaseTrigger):
    """Is looked for where the secret says that is given away: the triggerer prints no more of a trigger than that."""

    def serialize(self) -> tuple[str, dict[str, object]]:
        return f"{os.environ['SECRET_TEST_PLANTED']}.NowhereTrigger", {}

    async def run(self):
        yield None


class Defers(BaseOperator):
    def execute(self, context: object) -> None:
        self.defer(trigger=NowhereTrigger(), method_name="execute")


with DAG("secret_wrong", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as wrong:
    LocusEndpointOperator(task_id="locus", endpoint="get_partner_clients", conn_id="locus_wrong")
    StemEndpointOperator(task_id="stem", endpoint="get_clients", conn_id="stem_wrong")
    Defers(task_id="trigger")
