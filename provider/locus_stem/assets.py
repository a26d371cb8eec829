"""Every table is an Airflow asset, on which DAGs can be scheduled."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Asset

from locus_stem.config import account_lake_uri, account_name
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.pipelines.sources import SOURCES
from locus_stem.tables.address import LakeAddress

__all__ = ["table_asset"]


def table_asset(table: str, *, conn_id: str | None = None, lake_uri: str | None = None) -> Asset:
    """Give the asset of a table: ``DAG(..., schedule=[table_asset("locus_site_data")])``.

    It has an event for each load of the table. The event's ``extra`` holds ``rows_new``, ``rows_changed``,
    ``rows_unchanged`` and ``rows_withdrawn``, ``version`` (the Delta table's after the load) and, of measurements,
    ``version_before`` (before the load's first try, null: there was no table), ``start`` and ``end`` of what was
    loaded (ISO 8601, UTC, the end exclusive), ``granularity`` and ``level``. A load that changed nothing has an event
    too: what it asked for is complete. Rows are counted by the try that succeeded: what one before it committed and
    didn't live to tell is unchanged to it, and between the two versions.

    Nothing is opened or asked for: the asset is a name, the table's own (for another connection than the default one
    with ``__<conn_id>`` behind it), and the table's address as URI, without a connection that the lake's address names.

    :param table: name of the table, ``locus_site_data``.
    :param conn_id: the account's connection; None: the default one of the table's vendor.
    :param lake_uri: the account's lake, where it has one of its own; None: ``[locus_stem] lake_uri``, for another
        connection than the default one a folder named after it in there.
    :raises ValueError: there is no such table, or the lake's address is none; keys in it are not repeated.
    """
    if table not in SOURCES:
        raise ValueError(f"table: {table!r} is refused; allowed: one of {', '.join(SOURCES)}")
    default = _default_conn_id(table, conn_id)
    conn_id = conn_id or default
    lake = LakeAddress.parse(lake_uri or account_lake_uri(conn_id, default))
    return Asset(name=account_name(table, conn_id, default), uri=f"{lake.uri}/{table}")


def _default_conn_id(table: str, conn_id: str | None) -> str:
    """Give the connection whose tables have plain names; the vendors' default accounts share `coverage` and `runs`."""
    defaults = (LocusHook.default_conn_name, StemHook.default_conn_name)
    if table.startswith("stem_") or (not table.startswith("locus_") and conn_id == defaults[1]):
        return defaults[1]
    return defaults[0]
