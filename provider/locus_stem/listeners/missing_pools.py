"""Make the pools that a starting DAG run needs.

Airflow leaves a task whose pool is missing in ``scheduled`` for ever, with one line in the scheduler's log. This
listener runs in the scheduler when a run starts and makes each of this package's pools that isn't there yet, with its
default size; pools that exist are left as they are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from sqlalchemy.orm import object_session

from locus_stem.pools import PoolDefault, default_for

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001
    """Make the pools that this run's tasks name and that don't exist."""
    needed = _needed(dag_run)
    if not needed:
        return
    session = object_session(dag_run)
    if session is None:
        from airflow.utils.session import create_session

        with create_session() as own:
            _make_missing(needed, own)
    else:
        # The scheduler's own session: a second one would wait for its lock on SQLite.
        _make_missing(needed, session)


def _needed(dag_run: DagRun) -> dict[str, PoolDefault]:
    tasks = dag_run.dag.tasks if dag_run.dag else ()
    found = {task.pool: default_for(task.pool) or _of_own_name(task) for task in tasks}
    return {name: default for name, default in found.items() if default is not None}


def _of_own_name(task: Any) -> PoolDefault | None:
    """Give a pool that the user has named for a task of this package: one request at a time, the strictest limit."""
    is_ours = str(getattr(task, "_task_module", "")).startswith("locus_stem.")
    return PoolDefault(task.pool, 1, "Requests in flight of an account") if is_ours else None


def _make_missing(needed: dict[str, PoolDefault], session: Session) -> None:
    from airflow.models.pool import Pool
    from sqlalchemy import insert, select
    from sqlalchemy.exc import IntegrityError

    there = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(needed))))
    connection = session.connection()
    for name in sorted(needed.keys() - there):
        default = needed[name]
        row = {
            "pool": name,
            "slots": default.slots,
            "description": default.description,
            "include_deferred": False,
        }
        try:
            # A failure must not spoil the scheduler's transaction, and its session lets nobody else commit: so the
            # savepoint is the connection's.
            with connection.begin_nested():
                connection.execute(insert(Pool).values(**row))
        except IntegrityError:
            continue  # another scheduler, or a user, was quicker
        log.warning(
            "Pool %r was missing: made with %d slot(s). Set its size under Admin > Pools to the number of "
            "requests that the account may have in flight.",
            name,
            default.slots,
        )
