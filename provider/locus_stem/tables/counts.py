"""How many rows a load changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LoadCounts", "summed"]


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """Rows of one load: those answered and those that vanished, each counted once.

    ``changed`` rows have any other value than before; of ``withdrawn`` rows all asked values are null now,
    and one was not; ``versions`` is the table's version after each commit, by month (yyyy-mm-dd) or "" for
    a table without months.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: LoadCounts) -> LoadCounts:
        return LoadCounts(
            self.new + other.new,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.withdrawn + other.withdrawn,
            {**self.versions, **other.versions},
        )

    def __str__(self) -> str:
        return (
            f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged, {self.withdrawn} withdrawn"
        )


def summed(*parts: Mapping[str, LoadCounts]) -> dict[str, LoadCounts]:
    """Add up rows by table."""
    total: dict[str, LoadCounts] = {}
    for part in parts:
        for table, counts in part.items():
            total[table] = total.get(table, LoadCounts()) + counts
    return total
