"""The pools: a pool's size is how many requests one account has in flight."""

from __future__ import annotations

from dataclasses import dataclass

from locus_stem.config import account_name


@dataclass(frozen=True, slots=True)
class PoolDefault:
    """A vendor's pool as it is made where none exists; an account with a higher limit gets a larger one."""

    name: str
    slots: int
    description: str


LOCUS = PoolDefault(
    "locus_api", 1, "Locus Energy v3 API: requests in flight (1 unless the account's limit is higher)"
)
STEM = PoolDefault("stem_api", 4, "Stem Developer Data API: requests in flight")

#: Absolute priorities in a pool's slot, high before low: the alert sync goes before extraction, and sensors wait.
ALERT_PRIORITY = 100
FETCH_PRIORITY = 10
LOOK_PRIORITY = 1


def pool_name(pool: PoolDefault, conn_id: str, default_conn_id: str) -> str:
    """Name an account's pool: the vendor's own for the default connection, else ``<pool>__<conn_id>``."""
    return account_name(pool.name, conn_id, default_conn_id)


def default_for(name: str) -> PoolDefault | None:
    """Find the default that a pool of this name is made from; None if the pool isn't this package's."""
    for pool in (LOCUS, STEM):
        if name == pool.name or name.startswith(f"{pool.name}__"):
            return PoolDefault(name, pool.slots, pool.description)
    return None
