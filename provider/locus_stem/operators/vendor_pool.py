"""The pool that a task takes unless its user names one: its connection's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from locus_stem import pools

if TYPE_CHECKING:
    from collections.abc import Mapping


class VendorPool:
    """Mixed into an operator or sensor before Airflow's base class."""

    default_conn_id: ClassVar[str]
    vendor_pool: ClassVar[pools.PoolDefault]

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Prepare for ``expand``; the defaults of pool and priority hold for mapped tasks too.

        Airflow schedules mapped tasks by what stands here, before any of them is constructed. With ``conn_id`` in
        ``expand`` give ``pool`` here.
        """
        prepared = super().partial(**kwargs)  # type: ignore[misc]
        given = prepared.kwargs
        inherited: dict[str, Any] = {}
        for outer in (given["dag"], given["task_group"]):
            inherited.update(getattr(outer, "default_args", None) or {})
        named = {**inherited, **(kwargs.get("default_args") or {}), **kwargs}
        given.update(cls.unless_named(named))
        return prepared

    @classmethod
    def unless_named(cls, named: Mapping[str, Any]) -> dict[str, Any]:
        """Give what mapped tasks are scheduled by where their user names nothing else."""
        return {} if "pool" in named else {"pool": cls.account_pool(named.get("conn_id"))}

    @classmethod
    def account_pool(cls, conn_id: str | None) -> str:
        """Name the pool of a connection.

        :raises ValueError: the connection is a template: only the run will know it.
        """
        if conn_id and "{" in conn_id:
            raise ValueError(f"pool: None is refused; a templated conn_id ({conn_id}) has no pool of its own")
        return pools.pool_name(cls.vendor_pool, conn_id or cls.default_conn_id, cls.default_conn_id)
