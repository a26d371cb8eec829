"""The cluster of docker/compose.yaml as processes on loopback: its variables and entrypoint, other addresses."""

from __future__ import annotations

import secrets
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from locus_stem.demo.airflow_process import free_port, inherited
from support import compose
from support.airflow_parts import ROLES, AirflowParts
from support.processes import Process
from support.services import listens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.services import Postgres, Redis

ENTRYPOINT = compose.DOCKER / "entrypoint.sh"
#: What a test can't wait for: how soon a dead worker or scheduler is noticed, how soon the database is looked at again.
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
}


class Ended(NamedTuple):
    """How a command has ended."""

    status: int
    output: str


@dataclass
class Topology:
    """Where each service of the file is on this machine.

    :param folder: stands for the containers' own folders and volumes.
    :param variables: the environment of the command that would start the containers.
    """

    folder: Path
    variables: Mapping[str, str]
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    database: Postgres | None = None
    broker: Redis | None = None
    places: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.services = compose.services(self.variables)
        self.home = self.folder / "airflow"
        self.secrets = self.folder / "secrets"
        self.given = self.folder / "given"
        self.dags = self.home / "dags"
        for made in (self.home / "logs", self.dags, self.secrets, self.given):
            made.mkdir(parents=True)
        self.places = {
            "http://api-server:8080": f"http://127.0.0.1:{self.port}",
            "/opt/locus-stem": str(compose.DOCKER),
            "/opt/airflow": str(self.home),
            "/secrets": str(self.secrets),
            "0.0.0.0": "127.0.0.1",  # noqa: S104
        }

    def kept(self) -> dict[str, str]:
        """Give each secret that the parts take from a file, by the file; connections are of several secrets."""
        files = (path for path in self.secrets.rglob("*") if path.is_file() and path.suffix != ".json")
        return {str(path.relative_to(self.secrets)): path.read_text().strip() for path in files}

    def here(self, text: str) -> str:
        """Replace each of the file's addresses in a text by the one on this machine."""
        for there, place in self.places.items():
            text = text.replace(there, place)
        return text

    def environment(self, service: str, name: str) -> dict[str, str]:
        """Give a service's variables.

        :param name: of the container, which is its host's
        """
        found = compose.environment(self.services[service], self.variables, self.given)
        here = {name: self.here(value) for name, value in found.items()}
        for prefix, server in (("DATABASE", self.database), ("BROKER", self.broker)):
            if server is not None and f"{prefix}_HOST" in here:
                here |= {f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(server.port)}
        if any(variable.startswith("AIRFLOW__SCHEDULER__") for variable in here):
            here |= SOONER | {
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__PORT": str(self.port),
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.health_port),
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
                "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            }
        machine = {
            "AIRFLOW_HOME": str(self.home),
            "GIVEN": str(self.given),
            "HOSTNAME": name,
            "PATH": f"{Path(sys.executable).parent}:{inherited()['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "SANDBOX_PORT": str(self.sandbox_port),
            "SECRETS": str(self.secrets),
        }
        return {**inherited(), **machine, **here}

    def run(self, service: str, *arguments: str, name: str = "") -> Ended:
        """Run a service that ends, or another command in its container, to its end."""
        command = [str(ENTRYPOINT), *(arguments or self._command(service))]
        log = self.folder / f"{service}-{secrets.token_hex(4)}.log"
        process = Process(command, self.environment(service, name or service), log)
        process.start()
        try:
            return Ended(process.wait(300), process.output(-1))
        finally:
            process.kill()

    @contextmanager
    def sandbox(self, *options: str) -> Iterator[str]:
        """Run the sandbox, with more options than the file has."""
        server = self._process("sandbox", "sandbox", *options)
        server.start()
        try:
            server.wait_until(partial(listens, self.sandbox_port), "the sandbox")
            yield f"http://127.0.0.1:{self.sandbox_port}"
        finally:
            server.stop()

    def airflow(self, password: str) -> AirflowParts:
        """Give the parts of Airflow, each worker one of the replicas."""
        parts = {name: self._process(name, name) for name in ROLES}
        for number in range(1, int(self.services["worker"]["deploy"]["replicas"]) + 1):
            parts[f"worker-{number}"] = self._process("worker", f"worker-{number}")
        return AirflowParts(parts, f"http://127.0.0.1:{self.port}", "admin", password)

    def _process(self, service: str, name: str, *options: str) -> Process:
        command = [str(ENTRYPOINT), *self._command(service), *options]
        return Process(command, self.environment(service, name), self.folder / f"{name}.log")

    def _command(self, service: str) -> list[str]:
        return [self.here(word) for word in self.services[service]["command"]]
