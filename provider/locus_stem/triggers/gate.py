"""One look at a time for each account's credentials, whatever number of triggers wait with them in a triggerer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from locus_stem.api.credentials import LocusCredentials, StemCredentials

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

Credentials = LocusCredentials | StemCredentials

_gates: WeakKeyDictionary[AbstractEventLoop, dict[Credentials, Gate]] = WeakKeyDictionary()


@dataclass(slots=True)
class Gate:
    """Who holds the lock may ask; while the gate is shut nobody may.

    :param opens_at: the event loop's time at which the API wants to be asked again.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opens_at: float = 0.0

    def shut(self, seconds: float) -> None:
        """Keep everybody from asking for a time."""
        self.opens_at = max(self.opens_at, asyncio.get_running_loop().time() + seconds)

    @property
    def shut_for(self) -> float:
        """Seconds until one may ask; 0 where one may."""
        return max(0.0, self.opens_at - asyncio.get_running_loop().time())


def gate_of(credentials: Credentials) -> Gate:
    """Give the gate of these credentials in the running event loop, the same one for every connection with them."""
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(_identity(credentials), Gate())


def _identity(credentials: Credentials) -> Credentials:
    """Leave out what doesn't tell one account from another."""
    plain = replace(credentials, host=credentials.host.rstrip("/"), label="", timeout=1.0, allow_http=False)
    if isinstance(plain, LocusCredentials):
        return replace(plain, partner_id=None, grant_type=plain.grant)
    return plain
