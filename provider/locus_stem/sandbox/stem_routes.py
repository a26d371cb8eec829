"""The 5 Stem endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.sandbox.reply import Refusal, Reply

if TYPE_CHECKING:
    from locus_stem.sandbox.fleet import Fleet
    from locus_stem.sandbox.options import Options
    from locus_stem.sandbox.query import Pairs


class StemRoutes:
    """Answers to authenticated Stem requests."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        self.fleet = fleet
        self.options = options

    def answer(self, path: str, pairs: Pairs) -> Reply:
        """Answer a request."""
        raise Refusal(404, f"{path}: {len(pairs)}")
