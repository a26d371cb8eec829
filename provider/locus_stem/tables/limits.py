"""How much a load holds in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["LIMITS", "Limits"]

KEYS = 4
NARROW = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows that are compared at a time, that a merge may change, and that one commit may have.

    A merge holds its source and the rows it meets (1.1 GB at a million rows of four fields): beyond that the
    rows are written anew, as a stream that takes half a gigabyte whatever their number. The figures are for
    :data:`NARROW` fields; :meth:`for_fields` gives those for more.
    """

    chunk_rows: int = 500_000
    merge_rows: int = 1_000_000
    commit_rows: int = 10_000_000

    def for_fields(self, fields: int) -> Limits:
        """Hold fewer rows where rows are wider: memory goes with the values, keys and dates count as four."""
        share = min(1.0, (KEYS + NARROW) / (KEYS + fields))
        return replace(
            self, chunk_rows=int(self.chunk_rows * share) or 1, merge_rows=int(self.merge_rows * share) or 1
        )


LIMITS = Limits()
