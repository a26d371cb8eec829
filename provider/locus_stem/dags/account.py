"""What belongs to one account: its connection, its pool, its lake, and the names of its DAGs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.timetables.interval import CronDataIntervalTimetable

from locus_stem import pools

DEFAULT_CONN_ID = "locus_default"
#: Extraction's absolute priority in the pool; alert sync stands above it, sensors below.
FETCH_PRIORITY = 10

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "locus_stem",
    "retries": 5,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
}
#: Long before any plant's data: Airflow's own backfill takes no day before it.
START_DATE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LocusAccount:
    """One Locus account.

    :param conn_id: connection of type ``locus``.
    :param lake_uri: address of the lake; None: ``[locus_stem] lake_uri`` (a folder of its own in it, if the
        connection isn't the default one).
    :param pool: name of the pool; None: ``locus_api``, with ``__<conn_id>`` behind it for another connection.
    """

    conn_id: str = DEFAULT_CONN_ID
    lake_uri: str | None = None
    pool: str | None = None

    @property
    def task_args(self) -> dict[str, Any]:
        """Arguments of each task of the account's DAGs."""
        return {"conn_id": self.conn_id, "lake_uri": self.lake_uri}

    @property
    def fetch_args(self) -> dict[str, Any]:
        """Arguments of each task that asks the API, on top: a slot of the pool, by absolute priority."""
        return {
            **self.task_args,
            "pool": self.pool or pools.pool_name(pools.LOCUS, self.conn_id, DEFAULT_CONN_ID),
            "priority_weight": FETCH_PRIORITY,
            "weight_rule": "absolute",
        }

    def dag_id(self, name: str) -> str:
        """Name a DAG: the package's name for the default connection, else with ``__<conn_id>`` behind it."""
        return name if self.conn_id == DEFAULT_CONN_ID else f"{name}__{self.conn_id}"


def timetable(cron: str) -> CronDataIntervalTimetable:
    """Schedule with data intervals, in UTC: a bare cron text would give intervals of no length."""
    return CronDataIntervalTimetable(cron, timezone="UTC")
