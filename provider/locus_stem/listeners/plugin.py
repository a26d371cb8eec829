"""The Airflow plugin that registers this package's listeners (entry point ``airflow.plugins``)."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from locus_stem.listeners import missing_pools


class LocusStemPlugin(AirflowPlugin):  # type: ignore[misc]
    """Registers the listener that makes missing pools."""

    name = "locus_stem"
    listeners: ClassVar[list[object]] = [missing_pools]
