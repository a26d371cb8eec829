"""What a refresh of the inventory has asked in its earlier turns and tries, so that the next goes on behind it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from locus_stem.tables.staging import Staging, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from locus_stem.pipelines.knowledge import Wanted
    from locus_stem.tables.lake import Lake

FILE = "asked.json"


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
        asked = cls(Staging(lake, f"{run_scope}.turns"))
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
