"""Airflow's parts as processes of their own on loopback, each of which can be killed and started again."""

from __future__ import annotations

import secrets
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from locus_stem.demo.airflow_process import USER, free_port, inherited, run_airflow, set_password, settings
from locus_stem.demo.airflow_rest import AirflowRest
from support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HEALTHY_WITHIN = 300.0
#: What `/monitor/health` calls the parts that tell the database that they live.
HEARTBEATS = {
    "scheduler": ("scheduler", "latest_scheduler_heartbeat"),
    "dag-processor": ("dag_processor", "latest_dag_processor_heartbeat"),
    "triggerer": ("triggerer", "latest_triggerer_heartbeat"),
}
ROLES = ("api-server", "scheduler", "dag-processor", "triggerer")


class AirflowParts(AirflowRest):
    """Scheduler, dag-processor, triggerer, API server and workers, each a process; asked over REST.

    A context: it starts all parts, and ends all that they have started.

    :param parts: processes by name: ``api-server``, ``scheduler``, ``dag-processor``, ``triggerer``, and with Celery
        ``worker-1``, ``worker-2``, …
    """

    def __init__(self, parts: Mapping[str, Process], url: str, user: str, password: str) -> None:
        super().__init__(url, user, password)
        self.parts = dict(parts)

    def start(self, *names: str) -> None:
        """Start parts by name (all of them without a name) and wait until each works."""
        began, chosen = datetime.now(UTC), names or tuple(self.parts)
        printed = {name: len(self.parts[name].output(-1)) for name in chosen}
        for name in chosen:
            self.parts[name].start()
        for name in chosen:
            self.parts[name].wait_until(
                lambda name=name: self._works(name, began, printed[name]), name, HEALTHY_WITHIN
            )
        if "api-server" in chosen:
            self.log_in()

    def _works(self, name: str, began: datetime, printed: int) -> bool:
        if name.startswith("worker"):
            return " ready." in self.parts[name].output(-1)[printed:]
        if name == "api-server":
            return self.health().get("metadatabase", {}).get("status") == "healthy"
        part, heartbeat = HEARTBEATS[name]
        beat = self.health().get(part, {}).get(heartbeat)
        return beat is not None and datetime.fromisoformat(beat) > began

    def kill(self, name: str) -> None:
        """SIGKILL a part with all that it has started: tasks are processes below a worker or the scheduler."""
        self.parts[name].kill()

    def restart(self, name: str) -> None:
        """Kill a part and start it again."""
        self.kill(name)
        self.start(name)

    def part_with(self, task: Mapping[str, Any]) -> str | None:
        """Name the part in which a running task's process is; ``task["pid"]`` is that process.

        :param task: a task instance as :meth:`tasks` lists it.
        """
        return next((name for name, part in self.parts.items() if task["pid"] in part.members()), None)

    def log_tail(self, characters: int = 4000) -> str:
        """Give the end of what each part printed."""
        return "\n".join(f"--- {name}\n{part.output(characters)}" for name, part in self.parts.items())

    def stop(self) -> None:
        """End every part, whatever state it is in."""
        self.close()
        for part in reversed(self.parts.values()):
            part.kill()

    def __enter__(self) -> AirflowParts:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def airflow_parts(
    home: Path,
    dags: Path,
    environment: Mapping[str, str],
    *,
    database: str,
    broker: str | None = None,
    workers: int = 0,
    commands: Sequence[Sequence[str]] = (),
) -> Iterator[AirflowParts]:
    """Make Airflow's database and run its parts.

    :param environment: further variables: connections, configuration, a lake's keys.
    :param database: SQLAlchemy's address of the database.
    :param broker: Celery's address of the broker; None runs tasks below the scheduler.
    :param workers: how many Celery workers.
    :param commands: ``airflow`` commands to run before the parts start, such as ``("pools", "import", file)``.
    """
    port = free_port()
    variables = {
        **inherited(),
        **settings(home, dags, port),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        **environment,
    }
    if broker:
        variables |= {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "AIRFLOW__CELERY__BROKER_URL": broker}
    password = secrets.token_urlsafe(12)
    set_password(home, password)
    for arguments in (("db", "migrate"), *commands):
        run_airflow(variables, *arguments)
    parts = {name: _part(home, variables, name, name) for name in ROLES}
    for number in range(1, workers + 1):
        own = {**variables, "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port())}
        name = f"worker-{number}"
        options = ("celery", "worker", "--concurrency", "4", "--celery-hostname", name)
        parts[name] = _part(home, own, name, *options)
    with AirflowParts(parts, f"http://127.0.0.1:{port}", USER, password) as running:
        yield running


def _part(home: Path, variables: Mapping[str, str], name: str, *arguments: str) -> Process:
    return Process([sys.executable, "-m", "airflow", *arguments], variables, home / f"{name}.log")
