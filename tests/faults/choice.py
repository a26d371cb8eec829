"""A choice of cells in which every two of fault, rate and pipeline that occur together do so at least once."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faults.matrix import Cell

Pair = tuple[object, object]


def pairs_of(cell: Cell) -> set[Pair]:
    """Name the pairs of a cell's three properties."""
    named = (("fault", cell.kind.name), ("rate", cell.rate), ("pipeline", cell.pipeline))
    return set(combinations(named, 2))


def pairwise(cells: Sequence[Cell]) -> list[Cell]:
    """Choose cells greedily, in the given order: one for each fault and pipeline, at the rate that adds most.

    A fault and a pipeline make a pair of their own, so nothing smaller has all; where both rates add as much, it is the
    one that waits less, then the one that was chosen less often. A pair of fault and rate that only one pipeline has is
    left to the whole matrix.
    """
    by_place: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        by_place.setdefault((cell.kind.name, cell.pipeline), []).append(cell)
    chosen: list[Cell] = []
    covered: set[Pair] = set()
    rates: Counter[float | None] = Counter()
    for among in by_place.values():
        best = min(among, key=lambda cell: (-len(pairs_of(cell) - covered), cell.waits, rates[cell.rate]))
        chosen.append(best)
        covered |= pairs_of(best)
        rates[best.rate] += 1
    return chosen


def uncovered(chosen: Iterable[Cell], cells: Iterable[Cell]) -> set[Pair]:
    """Give the pairs that cells have and none of the chosen has."""
    have = set().union(*map(pairs_of, chosen))
    return set().union(*map(pairs_of, cells)) - have
