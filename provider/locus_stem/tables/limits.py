"""How much a load holds in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows that are compared at a time, that a merge may change, and that one commit may have.

    A merge holds its source and the rows it meets (1.1 GB at a million): beyond that the rows are written
    anew, as a stream that takes half a gigabyte whatever their number.
    """

    chunk_rows: int = 500_000
    merge_rows: int = 1_000_000
    commit_rows: int = 10_000_000


LIMITS = Limits()
