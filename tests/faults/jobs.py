"""The pipelines of the matrix: how large each is there, how it is run, and what its tables are held against."""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from faults.attempts import attempted
from locus_stem.dags.alert_sync import RETRIES
from locus_stem.demo import compare, compare_alerts, compare_stem
from locus_stem.hooks.webhook import Webhook
from locus_stem.pipelines.alert_delivery import deliver_alerts
from locus_stem.pipelines.alert_sync import sync_alerts
from locus_stem.pipelines.report import failure_recorded, record_sync
from locus_stem.pipelines.slot import Turn
from locus_stem.sandbox.options import Options
from locus_stem.tables.alert_deliveries import pending, register
from support.bulk import ALL, Bulk
from support.plant import NOW, Plant
from support.receiver import Receiver
from support.storage import DAY as STEM_DAY
from support.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from locus_stem.demo.compare import Difference
    from locus_stem.pipelines.report import Report
    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.options import Fault
    from locus_stem.sandbox.server import Server
    from locus_stem.tables.lake import Lake

#: Seconds after which a request is given up; long enough for a busy machine to answer one that doesn't hang.
TIMEOUT = 1.0
DAY = date(2025, 10, 26)
#: Long after every interval that is asked for.
CLOSED = datetime(2030, 1, 1, tzinfo=UTC)
WEBHOOK = "tickets"


@dataclass(frozen=True)
class Setting:
    """What a cell asks of its world.

    :param options: of the server.
    :param fleet: of the fleet: ``unknown``, ``gaps``.
    :param params: of the pipeline; ``moments`` and ``own_clock`` of the alert sync.
    :param sending: options of the clients.
    :param sites: another size than the pipeline's own.
    """

    options: dict[str, Any] = field(default_factory=dict)
    fleet: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    sending: dict[str, Any] = field(default_factory=dict)
    sites: int | None = None


class World(ABC):
    """A server, a lake, and one pipeline between them."""

    report: Report
    #: Requests in flight that the account allows; None: any number.
    limit: int | None = 1

    def __init__(self, lake_uri: str, setting: Setting) -> None:
        self.params = dict(setting.params)
        #: Requests of servers that have ended: the lake counts them too.
        self.before = 0

    @property
    @abstractmethod
    def lake(self) -> Lake: ...

    @property
    @abstractmethod
    def fleet(self) -> Fleet: ...

    @property
    @abstractmethod
    def server(self) -> Server: ...

    @abstractmethod
    def run(self) -> str | None:
        """Run the pipeline with its retries; return why the run fails, as its report says, None where it doesn't."""

    @abstractmethod
    def differences(self, fleet: Fleet) -> list[Difference]:
        """Hold every table that the pipeline writes against what a fleet holds."""

    @abstractmethod
    def again(self, *faults: Fault) -> None:
        """Let the next run be another one, of a server with these faults."""

    @abstractmethod
    def told(self) -> str:
        """Give the text of the last report."""

    @abstractmethod
    def end(self) -> None: ...

    def counted(self) -> Difference:
        return compare.runs(self.lake, self.before + len(self.server.log))


class OfPlant(World):
    """One of Locus's pipelines."""

    sites = 5

    def __init__(self, lake_uri: str, setting: Setting) -> None:
        super().__init__(lake_uri, setting)
        given = {**setting.options, **setting.fleet}
        self.plant = Plant.begun(lake_uri, setting.sites or self.sites, timeout=TIMEOUT, **given)
        self.plant.sending = setting.sending

    @property
    def lake(self) -> Lake:
        return self.plant.lake

    @property
    def fleet(self) -> Fleet:
        return self.plant.fleet

    @property
    def server(self) -> Server:
        return self.plant.server

    def again(self, *faults: Fault) -> None:
        self.before += len(self.server.log)
        self.plant.run_id = "again"
        self.plant.forgive()
        self.plant.spoil_with(*faults)

    def told(self) -> str:
        return self.report.text

    def end(self) -> None:
        self.plant.end()


class Inventory(OfPlant):
    sites = 3

    def run(self) -> str | None:
        attempted(lambda: self.plant.inventory(0))
        return None

    def told(self) -> str:
        return "\n".join(self.plant.told)

    def differences(self, fleet: Fleet) -> list[Difference]:
        return [
            *compare.objects(self.lake, fleet),
            *compare.details(self.lake, fleet),
            compare.available(self.lake, fleet),
            self.counted(),
        ]


class Backfill(OfPlant):
    """The daily backfill at one level."""

    level: Any = "site"
    sites = 6

    def span(self) -> compare.Loaded:
        granularity = self.params.get("granularity", "hourly")
        start = DAY - timedelta(days=self.params.get("lookback_days", 1))
        fields = self.params.get("fields")
        return compare.Loaded(
            self.level, granularity, start, DAY + timedelta(days=1), CLOSED, fields and tuple(fields)
        )

    def run(self) -> str | None:
        given = {"lookback_days": 1, **self.params}
        planned = attempted(lambda: self.plant.plan(DAY, level=self.level, **given))
        attempted(lambda: self.plant.extract(planned))
        attempted(self.plant.load)
        self.report = attempted(self.plant.report)
        return self.report.failure

    def differences(self, fleet: Fleet) -> list[Difference]:
        lists = {"locus_clients", "locus_sites", *({"locus_components"} if self.level == "component" else ())}
        return [
            *compare.measurements(self.lake, fleet, [self.span()]),
            compare.coverage(self.lake, fleet, [self.span()]),
            *(found for found in compare.objects(self.lake, fleet) if found.table in lists),
            self.counted(),
        ]


class ComponentBackfill(Backfill):
    level = "component"
    sites = 2


class MonthlyBulk(OfPlant):
    sites = 8
    months = date(2023, 10, 1), date(2025, 10, 1)

    def __init__(self, lake_uri: str, setting: Setting) -> None:
        super().__init__(lake_uri, setting)
        self.bulk = Bulk(self.plant)
        self.months = self.params.pop("months", self.months)

    def run(self) -> str | None:
        start, end = (f"{month:%Y-%m}" for month in self.months)
        planned = attempted(lambda: self.bulk.plan(start, end, **self.params))
        attempted(lambda: self.bulk.extract(planned))
        attempted(self.bulk.load)
        self.report = attempted(self.bulk.report)
        return self.report.failure

    def again(self, *faults: Fault) -> None:
        super().again(*faults)
        self.bulk.run_id = self.plant.run_id

    def differences(self, fleet: Fleet) -> list[Difference]:
        return [
            compare.bulk(self.lake, fleet, [self.months], ALL),
            compare.bulk_coverage(self.lake, fleet, [self.months], ALL),
            *(found for found in compare.objects(self.lake, fleet) if found.table != "locus_components"),
            self.counted(),
        ]


class AlertSync(OfPlant):
    """Some runs of the alert sync, each at a moment of its own."""

    sites = 6
    moments: Sequence[timedelta] = tuple(timedelta(minutes=15 * number) for number in range(5))

    def run(self) -> str | None:
        for number, after in enumerate(self.params.get("moments", self.moments)):
            self.asked = NOW + after
            self.fleet.set_now(self.asked)
            attempted(lambda number=number: self._sync(number), RETRIES["retries"])
        return None

    def _sync(self, number: int) -> None:
        own = self.asked + self.params.get("own_clock", timedelta())
        owner = {
            "dag_id": "alerts",
            "run_id": f"run {number}",
            "task_id": "sync",
            "map_index": -1,
            "try_number": 1,
        }
        left = True
        with self.plant.client(now=lambda: own) as client:
            while left:
                turn = Turn(client)
                with failure_recorded(self.lake, owner, turn):
                    synced = sync_alerts(self.lake, 1, turn, run=f"run {number}", now=lambda: own)
                record_sync(self.lake, owner, turn.usage(), synced)
                left = synced.left

    def differences(self, fleet: Fleet) -> list[Difference]:
        earlier = [NOW + after for after in self.params.get("moments", self.moments)][:-1]
        return [*compare_alerts.alerts(self.lake, fleet, None, self.asked, earlier), self.counted()]


class AlertDelivery(AlertSync):
    """Delivery to a webhook of what a sync without faults has brought: the faults are the webhook's."""

    sites = 2
    limit = None

    def __init__(self, lake_uri: str, setting: Setting) -> None:
        super().__init__(lake_uri, Setting(params={"moments": [timedelta()]}, sites=setting.sites))
        register(self.lake, WEBHOOK, NOW)
        super().run()
        self.receiver = Receiver(Options(**setting.options)).__enter__()

    @property
    def server(self) -> Server:
        return self.receiver

    def connection(self) -> str:
        """The webhook's connection, as Airflow reads it from the environment."""
        return json.dumps({"conn_type": "http", "host": self.receiver.url, "extra": {"timeout": TIMEOUT}})

    def run(self) -> str | None:
        """Deliver in as many runs as it takes; one that the webhook stops or refuses is followed by the next."""
        name = f"AIRFLOW_CONN_{WEBHOOK.upper()}"
        for _ in range(100):
            with patch.dict(os.environ, {name: self.connection()}), Webhook(WEBHOOK).check() as webhook:
                delivered = deliver_alerts(self.lake, WEBHOOK, webhook.post)
            if not delivered.left:
                return None
        return f"{delivered.left} alerts are still pending"

    def differences(self, fleet: Fleet) -> list[Difference]:
        found = compare_alerts.alerts(self.lake, fleet, self.receiver.posts, self.asked)
        return [*found, self._keys(), self._pending()]

    def _keys(self) -> Difference:
        """What is posted again has the key that it had, and nothing else has it."""
        keys: dict[str, set[str]] = {}
        for post in self.receiver.posts:
            keys.setdefault(json.dumps(post.alert, sort_keys=True), set()).add(post.key)
        found = compare.Difference("keys of posts", rows=len(self.receiver.posts), due=len(keys))
        if len({key for of_alert in keys.values() for key in of_alert}) != len(keys):
            found.note("an alert has several keys, or a key several alerts")
        return found

    def _pending(self) -> Difference:
        left = pending(self.lake, WEBHOOK)
        found = compare.Difference("pending events", rows=len(left))
        for event in left:
            found.note(f"{event} is still pending")
        return found

    def end(self) -> None:
        self.receiver.__exit__(None, None, None)
        super().end()


class StemBackfill(World):
    sites = 8

    def __init__(self, lake_uri: str, setting: Setting) -> None:
        super().__init__(lake_uri, setting)
        given = {**setting.options, **setting.fleet, "stem_concurrency": 1}
        self.storage = Storage.begun(lake_uri, setting.sites or self.sites, timeout=TIMEOUT, **given)
        self.storage.sending = setting.sending

    @property
    def lake(self) -> Lake:
        return self.storage.lake

    @property
    def fleet(self) -> Fleet:
        return self.storage.fleet

    @property
    def server(self) -> Server:
        return self.storage.server

    def again(self, *faults: Fault) -> None:
        self.before += len(self.server.log)
        self.storage.run_id = "again"
        self.storage.serve(faults=faults)

    def told(self) -> str:
        return self.report.text

    def end(self) -> None:
        self.storage.end()

    def run(self) -> str | None:
        given = {"lookback_days": 1, "slots": 1, **self.params}
        planned = attempted(lambda: self.storage.plan(STEM_DAY, **given))
        attempted(lambda: self.storage.extract(planned))
        attempted(self.storage.load)
        self.report = attempted(self.storage.report)
        return self.report.failure

    def span(self) -> compare_stem.LoadedStreams:
        chosen = self.params.get("site_ids")
        start, end = STEM_DAY - timedelta(days=1), STEM_DAY + timedelta(days=1)
        return compare_stem.LoadedStreams(900, start, end, NOW, site_ids=chosen and tuple(chosen))

    def differences(self, fleet: Fleet) -> list[Difference]:
        return [
            *compare_stem.objects(self.lake, fleet),
            compare_stem.streams(self.lake, fleet, [self.span()]),
            compare_stem.coverage(self.lake, fleet, [self.span()]),
            self.counted(),
        ]


#: Every pipeline by the name that the results show.
JOBS: dict[str, Callable[[str, Setting], World]] = {
    "inventory": Inventory,
    "daily backfill, sites": Backfill,
    "daily backfill, components": ComponentBackfill,
    "alert sync": AlertSync,
    "monthly bulk": MonthlyBulk,
    "Stem backfill": StemBackfill,
    "alert delivery": AlertDelivery,
}
LOCUS = tuple(JOBS)[:5]
STEM = ("Stem backfill",)
WEBHOOKS = ("alert delivery",)
BACKFILLS = ("daily backfill, sites", "daily backfill, components")


def share(of: Sequence[Any], rate: float) -> list[Any]:
    """Choose this share of some things, one at least, spread evenly."""
    wanted = max(1, round(rate * len(of)))
    return [of[math.floor(number * len(of) / wanted)] for number in range(wanted)]
