"""Which request a fault hits: decided by a hash of seed, request and how often it came."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from locus_stem.sandbox.entities import mix

if TYPE_CHECKING:
    from locus_stem.sandbox.options import Options

#: Kinds that have a meaning for a request of each API; a token is refused by nothing but its own kinds.
_NOT_FOR = {
    "locus": {"refresh-without-refresh-token", "refresh-refused"},
    "stem": {"refresh-without-refresh-token", "refresh-refused", "401"},
    "token": {"401", "refresh-without-refresh-token", "refresh-refused"},
    "refresh": {"401"},
}


class Faults:
    """Draws a fault for each request; no request is hit more than ``fault_streak`` times in a row."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._rates = [
            (number, fault.kind, fault.rate)
            for number, fault in enumerate(fault for fault in options.faults if fault.rate)
        ]
        #: Where hardly a request is left for the last kinds none of them goes before the others.
        self._in_turn = sum(rate for _, _, rate in self._rates) > 1
        self._counts: dict[int, int] = {}
        self._streaks: dict[int, int] = {}

    def draw(self, api: str, request: str) -> str | None:
        """Return the kind that hits this request, or None.

        :param api: ``locus``, ``stem``, ``token`` or ``refresh``.
        :param request: method, path and query.
        """
        if not self._rates:
            return None
        key = zlib.crc32(request.encode())
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if self._streaks.get(key, 0) >= self._options.fault_streak:
            self._streaks[key] = 0
            return None
        first = mix(self._options.fault_seed, key, count) % len(self._rates) if self._in_turn else 0
        for number, kind, rate in (*self._rates[first:], *self._rates[:first]):
            chance = mix(self._options.fault_seed, key, count, number) / 2**64
            if chance < rate and kind not in _NOT_FOR.get(api, ()):
                self._streaks[key] = self._streaks.get(key, 0) + 1
                return kind
        self._streaks[key] = 0
        return None
