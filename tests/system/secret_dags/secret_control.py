"""An Airflow DAG that gives a secret away in every place that it can: the search must find each."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG, Asset, BaseOperator, Param

from locus_stem.sensors.locus import LocusDataAvailableSensor

PLANTED = os.environ["SECRET_TEST_PLANTED"]
print(PLANTED)  # noqa: T201


class GivesAway(BaseOperator):
    template_fields = ("shown",)

    def __init__(self, *, shown: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.shown = shown

    def execute(self, context: object) -> str:
        context["outlet_events"][self.outlets[0]].extra = {"shown": self.shown}
        self.log.info("Given away: %s", self.shown)
        context["ti"].xcom_push(key="shown", value=self.shown)
        if self.task_id == "raises":
            raise RuntimeError(self.shown)
        return self.shown


with DAG(
    "secret_control",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    doc_md=f"Documented: {PLANTED}",
    params={"shown": Param("", type="string")},
) as control:
    GivesAway(task_id="gives", shown="{{ params.shown }}", outlets=[Asset("planted")])
    GivesAway(task_id="raises", shown="{{ params.shown }}", outlets=[Asset("planted")])
    LocusDataAvailableSensor(
        task_id="waits",
        fields="{{ params.shown }}",
        partner_id=1,
        deferrable=True,
        poke_interval=1,
        timeout=6000,  # it still waits when all is searched
    )
