"""What belongs to one account: its connection, its pool, its lake, and the names of its DAGs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from locus_stem import pools
from locus_stem.config import account_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Account:
    """One account at a vendor; see the vendors' classes."""

    conn_id: str
    lake_uri: str | None = None
    pool: str | None = None
    default_args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    default_conn_id: ClassVar[str]
    vendor_pool: ClassVar[pools.PoolDefault]

    @property
    def task_args(self) -> dict[str, Any]:
        """Arguments of each task of the account's DAGs."""
        return {"conn_id": self.conn_id, "lake_uri": self.lake_uri}

    @property
    def fetch_args(self) -> dict[str, Any]:
        """Arguments of each task that asks the API, on top: a slot of the pool, by absolute priority."""
        return {
            **self.task_args,
            "pool": self.pool or pools.pool_name(self.vendor_pool, self.conn_id, self.default_conn_id),
            "priority_weight": pools.FETCH_PRIORITY,
            "weight_rule": "absolute",
        }

    def dag_id(self, name: str) -> str:
        """Name a DAG: the package's name for the default connection, else with ``__<conn_id>`` behind it."""
        return account_name(name, self.conn_id, self.default_conn_id)


@dataclass(frozen=True, slots=True)
class LocusAccount(Account):
    """One Locus account.

    :param conn_id: connection of type ``locus``.
    :param lake_uri: address of the lake; None: ``[locus_stem] lake_uri`` (a folder of its own in it, if the
        connection isn't the default one).
    :param pool: name of the pool; None: ``locus_api``, with ``__<conn_id>`` behind it for another connection.
    :param default_args: Airflow's own arguments of every task of the account's DAGs, in the place of the package's:
        ``retries``, ``on_failure_callback``, ``queue``, …
    """

    conn_id: str = "locus_default"

    default_conn_id = "locus_default"
    vendor_pool = pools.LOCUS


@dataclass(frozen=True, slots=True)
class StemAccount(Account):
    """One Stem account.

    :param conn_id: connection of type ``stem``.
    :param lake_uri: address of the lake; None: ``[locus_stem] lake_uri`` (a folder of its own in it, if the
        connection isn't the default one).
    :param pool: name of the pool; None: ``stem_api``, with ``__<conn_id>`` behind it for another connection.
    :param default_args: Airflow's own arguments of every task of the account's DAGs, in the place of the package's:
        ``retries``, ``on_failure_callback``, ``queue``, …
    """

    conn_id: str = "stem_default"

    default_conn_id = "stem_default"
    vendor_pool = pools.STEM
