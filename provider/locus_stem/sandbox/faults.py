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
        self._rates = [(fault.kind, fault.rate) for fault in options.faults if fault.rate]
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
        for number, (kind, rate) in enumerate(self._rates):
            chance = mix(self._options.fault_seed, key, count, number) / 2**64
            if chance < rate and kind not in _NOT_FOR.get(api, ()):
                self._streaks[key] = self._streaks.get(key, 0) + 1
                return kind
        self._streaks[key] = 0
        return None
