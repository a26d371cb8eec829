"""The package's Airflow configuration: section ``[locus_stem]``."""

from __future__ import annotations

SECTION = "locus_stem"
LAKE_URI = "lake_uri"


def default_lake_uri() -> str:
    """Read ``[locus_stem] lake_uri``; without it the folder ``lake`` in Airflow's home."""
    from airflow.configuration import AIRFLOW_HOME
    from airflow.providers.common.compat.sdk import conf

    # 3.1 doesn't read options from a provider's own description: the fallback is needed there.
    configured: str = conf.get(SECTION, LAKE_URI, fallback="")
    return configured or f"file://{AIRFLOW_HOME}/lake"


def account_lake_uri(conn_id: str, default_conn_id: str) -> str:
    """Give the lake of an account: the configured one for the default connection, else a folder of its own in it."""
    lake = default_lake_uri()
    return lake if conn_id == default_conn_id else f"{lake.rstrip('/')}/{conn_id}"


def account_name(name: str, conn_id: str, default_conn_id: str) -> str:
    """Name something that an account has of its own: the plain name for the default connection."""
    return name if conn_id == default_conn_id else f"{name}__{conn_id}"
