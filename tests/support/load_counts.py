"""What a load counts, in an order that tests can write down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locus_stem.tables.counts import LoadCounts


def numbers(counts: LoadCounts) -> tuple[int, int, int, int]:
    """Give the rows that were new, changed, unchanged and withdrawn."""
    return counts.new, counts.changed, counts.unchanged, counts.withdrawn
