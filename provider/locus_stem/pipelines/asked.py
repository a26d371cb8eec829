"""What a refresh has asked in its earlier turns and tries, so that the next goes on behind it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from locus_stem.tables.staging import Staging, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

    from locus_stem.pipelines.knowledge import Wanted
    from locus_stem.tables.lake import Lake

FILE, CLIENTS_FILE = "asked.json", "clients.json"


@dataclass(slots=True)
class Asked:
    """The lists and details that a run has loaded.

    The lake knows only on which day something was fetched: another run of the same day may have done that before.
    What was loaded when a try was killed, and isn't noted yet, is asked again.
    """

    staging: Staging
    lists: set[str] = field(default_factory=set)
    details: set[tuple[str, str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, lake: Lake, run_scope: str) -> Self:
        """Read what a run has noted.

        :param run_scope: see :func:`locus_stem.pipelines.plan.scope`; removed with the run's staging.
        """
        asked = cls(Staging.of_turns(lake, run_scope))
        with suppress(StagingError):  # it is the first one
            noted = asked.staging.read_json(FILE)
            asked.lists = set(noted["lists"])
            asked.details = {(table, kind, entity_id) for table, kind, entity_id in noted["details"]}
        return asked

    def left(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Choose those that the run hasn't asked yet."""
        return [item for item in wanted if _name(item) not in self.details]

    def note_list(self, table: str) -> None:
        """Note a list that has been loaded."""
        self.lists.add(table)
        self._write()

    def note_details(self, items: Iterable[Wanted]) -> None:
        """Note details that have been loaded, the refused ones too."""
        self.details.update(_name(item) for item in items)
        self._write()

    def _write(self) -> None:
        self.staging.write_json(FILE, {"lists": sorted(self.lists), "details": sorted(self.details)})


def _name(item: Wanted) -> tuple[str, str, int]:
    return item.detail.table, item.detail.entity_type, item.entity_id


@dataclass(slots=True)
class AskedClients:
    """The clients of Stem whose sites a run has asked for.

    :param settled: why a client was refused, None where it was answered.
    :param failing_since: when a client that only fails has failed first, in seconds since 1970.
    :param failed_last: when it has failed last.
    """

    staging: Staging
    settled: dict[str, str | None] = field(default_factory=dict)
    failing_since: dict[str, float] = field(default_factory=dict)
    failed_last: dict[str, float] = field(default_factory=dict)
    _written: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake, run_scope: str) -> Self:
        """Read what a run has noted.

        :param run_scope: see :func:`locus_stem.pipelines.plan.scope`; removed with the run's staging.
        """
        asked = cls(Staging.of_turns(lake, run_scope))
        with suppress(StagingError):  # it is the first one
            noted = asked.staging.read_json(CLIENTS_FILE)
            asked.settled = noted["settled"]
            asked.failing_since, asked.failed_last = noted["failing_since"], noted["failed_last"]
        asked._written = asked._contents()
        return asked

    def in_order(self, clients: Iterable[str]) -> list[str]:
        """Choose those that are not settled: first those that haven't failed, then those that failed long ago."""
        left = [client for client in clients if client not in self.settled]
        return sorted(left, key=lambda client: self.failed_last.get(client, 0.0))

    def refused(self) -> dict[str, str]:
        """Give the clients that are refused, or whose list only fails, and why."""
        return {client: reason for client, reason in self.settled.items() if reason is not None}

    def settle(self, client: str, reason: str | None = None) -> None:
        """Note that a client is not asked again by this run."""
        self.settled[client] = reason
        self.failing_since.pop(client, None)
        self.failed_last.pop(client, None)

    def fail(self, client: str) -> float:
        """Note a failure, and tell for how long the client has been failing, in seconds."""
        self.failed_last[client] = datetime.now(UTC).timestamp()
        self.failing_since.setdefault(client, self.failed_last[client])
        return self.failing_for([client])

    def failing_for(self, clients: Iterable[str]) -> float:
        """Give the seconds for which each of them has been failing."""
        return min(
            (self.failed_last.get(one, 0.0) - self.failing_since.get(one, 0.0) for one in clients),
            default=0.0,
        )

    def forgive(self) -> None:
        """Let each client that fails have its time again, as the API itself has failed."""
        self.failing_since, self.failed_last = {}, {}

    def forget(self) -> None:
        """Let a task that is cleared, or tried again, begin anew."""
        self.settled = {}
        self.forgive()
        self.write()

    def write(self) -> None:
        """Keep it for the next turn, if there is something new."""
        if (contents := self._contents()) != self._written:
            self.staging.write_json(CLIENTS_FILE, contents)
            self._written = contents

    def _contents(self) -> dict[str, Any]:
        return {name: dict(getattr(self, name)) for name in ("settled", "failing_since", "failed_last")}
