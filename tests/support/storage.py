"""A sandbox, a lake, and the Stem pipeline between them, driven as the operators drive it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from deltalake import DeltaTable

from locus_stem.api.client import StemClient
from locus_stem.api.credentials import StemCredentials
from locus_stem.demo import compare_stem
from locus_stem.demo.compare_stem import LoadedStreams
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.plan import usage_kept
from locus_stem.pipelines.report import Report, report_backfill
from locus_stem.pipelines.slot import Turn
from locus_stem.pipelines.stem import load_stem_backfill, plan_stem_backfill
from locus_stem.pipelines.stem_extract import Streams
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging

NOW = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
DAY = date(2025, 10, 26)
START, END = date(2025, 10, 19), date(2025, 10, 27)
OWNER = {"dag_id": "stem", "run_id": "test", "task_id": "extract_streams", "map_index": 0, "try_number": 1}
TABLE = "stem_streams"


@dataclass
class Storage:
    """A sandbox, a lake, and the Stem pipeline between them, driven as the operators drive it."""

    fleet: Fleet
    server: Server
    lake: Lake
    staging: Staging | None = None
    loaded: dict[str, Any] | None = None
    run_id: str = "test"

    timeout: float = 60.0
    #: Options of the clients.
    sending: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begun(
        cls,
        lake_uri: str,
        sites: int = 6,
        *,
        now: datetime | None = NOW,
        unknown: bool = False,
        timeout: float = 60.0,
        **options: Any,
    ) -> Storage:
        """Begin with a server that listens and a lake that is empty."""
        fleet = Fleet(sites=3, stem_sites=sites, now=now, unknown=unknown)
        lake = Lake(lake_uri)
        lake.check()
        return cls(fleet, Server(fleet, Options(**options)).__enter__(), lake, timeout=timeout)

    def end(self) -> None:
        self.server.__exit__(None, None, None)

    def client(self) -> StemClient:
        given = {"host": self.server.url, "api_key": "sandbox-key", "timeout": self.timeout}
        return StemClient(StemCredentials(**given, label="stem_default"), **self.sending)

    def plan(self, day=DAY, *, seconds=100.0, set_aside=15.0, scheduled=False, slots=4, **params) -> Any:
        while True:
            with self.client() as client:
                turn, run_scope = Turn(client, seconds, set_aside=set_aside), f"stem-{self.run_id}"
                with usage_kept(self.lake, run_scope, turn):
                    planned = plan_stem_backfill(
                        self.lake, params, run_scope, day, turn, scheduled=scheduled, slots=slots
                    )
            if planned.staging:
                self.staging = Staging.at(self.lake, planned.staging)
                return planned

    def extract(self, planned, seconds=100.0, source=None) -> int:
        turns = 0
        for number, _ in enumerate(planned.batches):
            requests = requests_of(self.staging, number)
            left = 1
            while left:
                turns += 1
                with self.client() as client:
                    left = extract_batch(
                        requests,
                        self.staging.batch(number),
                        Turn(client, seconds),
                        OWNER,
                        source or Streams(),
                    )
        return turns

    def load(self) -> dict[str, Any]:
        self.loaded = load_stem_backfill(self.lake, self.staging).to_json()
        return self.loaded

    def run(self, day=DAY, **params) -> dict[str, Any]:
        self.extract(self.plan(day, **params))
        return self.load()

    def report(self) -> Report:
        run = {"dag_id": "stem", "run_id": self.run_id}
        return report_backfill(self.lake, self.staging, self.loaded, run)

    def serve(self, **options) -> None:
        """Go on with a server of other options."""
        self.server.__exit__(None, None, None)
        self.server = Server(self.fleet, replace(self.server.options, **options)).__enter__()

    def differences(self, *loaded: LoadedStreams) -> list[str]:
        spans = loaded or [LoadedStreams(900, START, END, NOW)]
        return [
            *compare_stem.streams(self.lake, self.fleet, spans).examples,
            *compare_stem.coverage(self.lake, self.fleet, spans).examples,
        ]

    def data_requests(self):
        return [served for served in self.server.log if served.path.endswith("/streams")]

    def rows(self):
        found = {}
        for row in self.lake.read(TABLE).to_pylist():
            key = row["site_id"], row["stream_type"], row["resolution"], row["end_datetime"]
            assert key not in found
            found[key] = row["kw_total_avg"]
        return found

    def coverage(self, **only):
        filters = [("source", "=", TABLE), *((name, "=", value) for name, value in only.items())]
        return self.lake.read("coverage", filters=filters).to_pylist()

    def versions(self):
        names = (TABLE, "coverage", "stem_sites", "stem_clients")
        return {name: DeltaTable(self.lake.table_uri(name)).version() for name in names}
