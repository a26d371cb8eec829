"""The bulk pipeline on a plant, driven as the operators drive it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from deltalake import DeltaTable

from locus_stem.demo import compare
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.bulk import load_monthly_bulk, plan_monthly_bulk
from locus_stem.pipelines.bulk_extract import BulkMonths
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.plan import usage_kept
from locus_stem.pipelines.report import Report, report_backfill
from locus_stem.pipelines.slot import Turn
from locus_stem.sandbox.catalogue import BULK_SHORT_NAMES
from locus_stem.tables.staging import Staging

START, END = date(2022, 3, 1), date(2024, 9, 1)
OWNER = {"dag_id": "bulk", "run_id": "test", "task_id": "extract_bulk", "map_index": 0, "try_number": 1}
TABLE = "locus_bulk_monthly"
ALL = tuple(sorted(BULK_SHORT_NAMES))


@dataclass
class Bulk:
    """A plant and the bulk pipeline, driven as the operators drive it."""

    plant: Any
    staging: Staging | None = None
    loaded: dict[str, Any] | None = None
    run_id: str = "test"

    def plan(self, start="2022-03", end="2024-09", **params: Any) -> Any:
        with self.plant.client() as client:
            turn, run_scope = Turn(client), f"bulk-{self.run_id}"
            months = {"start_month": start, "end_month": end}
            with usage_kept(self.plant.lake, run_scope, turn):
                planned = plan_monthly_bulk(
                    self.plant.lake, {**months, **params}, 1, run_scope, date(2025, 10, 2), turn
                )
        self.staging = Staging.at(self.plant.lake, planned.staging)
        return planned

    def extract(self, planned: Any, seconds: float = 100.0, source: Any = BulkMonths) -> None:
        plan = self.staging.read_json("plan.json")
        for number, _ in enumerate(planned.batches):
            requests = requests_of(self.staging, number)
            left = 1
            while left:
                with self.plant.client() as client:
                    left = extract_batch(
                        requests, self.staging.batch(number), Turn(client, seconds), OWNER,
                        source(1, plan["sites"]),
                    )  # fmt: skip

    def load(self) -> dict[str, Any]:
        self.loaded = load_monthly_bulk(self.plant.lake, self.staging).to_json()
        return self.loaded

    def run(self, **params: Any) -> dict[str, Any]:
        self.extract(self.plan(**params))
        return self.load()

    def report(self) -> Report:
        return report_backfill(
            self.plant.lake, self.staging, self.loaded, {"dag_id": "bulk", "run_id": self.run_id}
        )

    def rows(self) -> dict[tuple[int, date], dict[str, Any]]:
        rows = self.plant.lake.read(TABLE).to_pylist()
        found = {(row["site_id"], row["month"]): row for row in rows}
        assert len(found) == len(rows)
        return {
            key: {name: row[name] for name in row if name not in {"site_id", "month"}}
            for key, row in found.items()
        }

    def version(self, table: str = TABLE) -> int:
        return DeltaTable(self.plant.lake.table_uri(table)).version()

    def differences(self, *spans: tuple[date, date], fields=ALL) -> list[str]:
        return compare.bulk(self.plant.lake, self.plant.fleet, spans or [(START, END)], fields).examples
