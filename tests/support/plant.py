"""A sandbox, a lake, and Locus's pipelines between them, driven as the operators drive them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.api.client import LocusClient
from locus_stem.api.credentials import LocusCredentials
from locus_stem.demo import compare
from locus_stem.pipelines.batch_state import requests_of
from locus_stem.pipelines.extract import extract_batch
from locus_stem.pipelines.inventory import refresh_inventory
from locus_stem.pipelines.load import load_backfill
from locus_stem.pipelines.plan import plan_daily_backfill, usage_kept
from locus_stem.pipelines.report import Report, failure_recorded, record_turn, report_backfill
from locus_stem.pipelines.slot import Turn
from locus_stem.sandbox.fleet import Fleet, Gaps
from locus_stem.sandbox.options import Fault, Options
from locus_stem.sandbox.server import Server
from locus_stem.tables.lake import Lake
from locus_stem.tables.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Callable

#: The present of the fleets: a day after clocks changed in Berlin, two weeks before they do in Los Angeles.
NOW = datetime(2025, 10, 27, 18, 20, tzinfo=UTC)
OWNER = {"dag_id": "backfill", "run_id": "test", "task_id": "extract", "map_index": 0, "try_number": 1}


@dataclass
class Plant:
    """A sandbox, a lake, and the pipelines between them, driven as the operators drive them."""

    fleet: Fleet
    server: Server
    lake: Lake
    turn_seconds: float = 100.0
    timeout: float = 60.0
    loaded: dict[str, Any] | None = None
    staging: Staging | None = None
    run_id: str = "test"
    #: Lines of the inventory's last report.
    told: list[str] = field(default_factory=list)
    #: What the inventory's turns have named as refused.
    refused: dict[Any, str] = field(default_factory=dict)
    #: Options of the clients.
    sending: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begun(
        cls,
        lake_uri: str,
        sites: int = 5,
        *,
        turn_seconds: float = 100.0,
        timeout: float = 60.0,
        unknown: bool = False,
        gaps: Gaps = "missing",
        **options: Any,
    ) -> Plant:
        """Begin with a server that listens and a lake that is empty."""
        fleet = Fleet(sites=sites, now=NOW, unknown=unknown, gaps=gaps)
        lake = Lake(lake_uri)
        lake.check()
        return cls(fleet, Server(fleet, Options(**options)).__enter__(), lake, turn_seconds, timeout)

    def end(self) -> None:
        self.server.__exit__(None, None, None)

    def client(self, *, now: Callable[[], datetime] | None = None, **credentials: Any) -> LocusClient:
        given = {
            "host": self.server.url,
            "username": "sandbox",
            "password": "sandbox-password",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "partner_id": 1,
            "timeout": self.timeout,
            "label": "connection 'locus_default'",
        }
        options = self.sending if now is None else {**self.sending, "now": now}
        return LocusClient(LocusCredentials(**{**given, **credentials}), **options)

    def inventory(self, max_age: int = 7, today: date | None = None) -> Any:
        with self.client() as client:
            while True:
                turn = Turn(client, self.turn_seconds)
                day = today or datetime.now(UTC).date()
                owner = {**OWNER, "dag_id": "inventory", "run_id": self.run_id, "task_id": "refresh"}
                with failure_recorded(self.lake, owner, turn):
                    result = refresh_inventory(self.lake, 1, day, turn, detail_max_age_days=max_age)
                _, self.told = record_turn(self.lake, owner, turn.usage(), result)
                self.refused |= result.refused
                if not result.left:
                    return result

    def plan(self, day: date, *, scheduled: bool = False, **params: Any) -> Any:
        with self.client() as client:
            while True:
                turn, run_scope = Turn(client, self.turn_seconds), f"backfill-{self.run_id}"
                with usage_kept(self.lake, run_scope, turn):
                    planned = plan_daily_backfill(
                        self.lake, params, 1, run_scope, day, turn, scheduled=scheduled
                    )
                if planned.staging:
                    self.staging = Staging.at(self.lake, planned.staging)
                    return planned

    def extract(self, planned: Any) -> int:
        turns = 0
        for number, _ in enumerate(planned.batches):
            requests = requests_of(self.staging, number)
            while True:
                turns += 1
                with self.client() as client:
                    turn = Turn(client, self.turn_seconds)
                    if not extract_batch(requests, self.staging.batch(number), turn, OWNER):
                        break
        return turns

    def load(self) -> dict[str, Any]:
        self.loaded = load_backfill(self.lake, self.staging).to_json()
        return self.loaded

    def report(self) -> Report:
        run = {"dag_id": "backfill", "run_id": self.run_id}
        return report_backfill(self.lake, self.staging, self.loaded, run)

    def backfill(self, day: date, *, scheduled: bool = False, **params: Any) -> dict[str, Any]:
        self.extract(self.plan(day, scheduled=scheduled, **params))
        return self.load()

    def differences(self, *loaded: compare.Loaded) -> list[str]:
        found = compare.measurements(self.lake, self.fleet, loaded)
        return [example for difference in found for example in difference.examples]

    def forbid(self, entity_id: int) -> None:
        """Let the API refuse an entity from now on."""
        self.spoil_with(Fault("forbidden", target=str(entity_id)))

    def spoil(self, field_name: str) -> None:
        """Let the API refuse data requests with this field from now on, though dataavailable lists it."""
        self.spoil_with(Fault("bad-field", target=field_name))

    def spoil_with(self, *faults: Fault, streak: int = 2) -> None:
        self._serve(
            replace(self.server.options, faults=(*self.server.options.faults, *faults), fault_streak=streak)
        )

    def forgive(self) -> None:
        """Let the API refuse nothing any more."""
        self._serve(replace(self.server.options, faults=()))

    def _serve(self, options: Options) -> None:
        self.server.__exit__(None, None, None)
        self.server = Server(self.fleet, options).__enter__()

    def data_requests(self) -> list[Any]:
        return [served for served in self.server.log if served.path.endswith("/data")]

    def most_in_flight(self) -> int:
        return max(served.in_flight for served in self.server.log)
