"""The Airflow plugin that registers this package's listeners (entry point ``airflow.plugins``)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from locus_stem.listeners import missing_pools


class LocusStemPlugin(AirflowPlugin):
    """Registers the listener that makes missing pools."""

    name = "locus_stem"
    listeners = [missing_pools]  # noqa: RUF012 - an attribute of Airflow's
