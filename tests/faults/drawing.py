"""Which requests a fault hits: a seed under which the share hit is the rate, and never none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.sandbox.faults import Faults
from locus_stem.sandbox.options import Fault, Options

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is drawn for: the API (or what stands in its place) and the request's text.
Drawn = tuple[str, str]
REFRESH: Drawn = ("refresh", "POST /oauth/token? refresh_token")
SEEDS = 2000


class Recorder(Faults):
    """Hits nothing and notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__(Options())
        self.drawn: list[Drawn] = []

    def draw(self, api: str, request: str) -> str | None:
        self.drawn.append((api, request))
        return None


def hits(requests: Sequence[Drawn], faults: tuple[Fault, ...], seed: int) -> dict[str, int]:
    """Count by kind what would be hit; a 401 is followed by a refresh, which can be hit too."""
    drawing = Faults(Options(faults=faults, fault_seed=seed))
    found: dict[str, int] = {fault.kind: 0 for fault in faults}
    queue = list(requests)
    while queue:
        kind = drawing.draw(*queue.pop(0))
        if kind is not None:
            found[kind] += 1
            if kind == "401":
                queue.append(REFRESH)
    return found


def seed_for(requests: Sequence[Drawn], faults: tuple[Fault, ...]) -> int:
    """Choose the first seed under which each kind hits as many as its rate says, one at least."""
    every = tuple(Fault(fault.kind, 1.0) for fault in faults)
    for seed in range(SEEDS):
        found = hits(requests, faults, seed)
        if all(found[fault.kind] == wanted(requests, fault) for fault in faults[:1]) and all(found.values()):
            return seed
    raise LookupError(f"no seed below {SEEDS} hits {every}")


def wanted(requests: Sequence[Drawn], fault: Fault) -> int:
    """How many of the requests a fault is to hit."""
    certain = Faults(Options(faults=(Fault(fault.kind, 1.0),), fault_streak=10**6))
    return max(1, round(fault.rate * sum(certain.draw(*one) is not None for one in requests)))
