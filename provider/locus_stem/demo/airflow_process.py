"""A real Airflow in a folder of its own: SQLite, LocalExecutor, free ports, ended with everything it started."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from locus_stem.demo.airflow_rest import AirflowRest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

USER = "admin"
HEALTHY_WITHIN = 420.0


class AirflowProcess(AirflowRest):
    """``airflow standalone`` under this process: started, asked over its REST API with its login, and ended.

    :param home: Airflow's home; database, logs and generated password lie in it.
    :param dags: folder of the DAG files.
    :param environment: further variables: connections, configuration.
    """

    def __init__(self, home: Path, dags: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}", USER, secrets.token_urlsafe(12))
        self.environment = {**inherited(), **settings(home, dags, self.port), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        """Run one ``airflow`` command to its end and give what it printed.

        :raises RuntimeError: it failed; the message holds the end of its output.
        """
        return run_airflow(self.environment, *arguments)

    def start(self) -> None:
        """Make the database, start everything, and wait until scheduler and API server are healthy."""
        set_password(self.home, self.password)
        with (self.home / "airflow.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_healthy()
        self.log_in()

    def _wait_healthy(self) -> None:
        assert self._process is not None  # noqa: S101
        deadline = time.monotonic() + HEALTHY_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            health = self.health()
            if all(
                health.get(part, {}).get("status") == "healthy"
                for part in ("metadatabase", "scheduler", "dag_processor")
            ):
                return
            time.sleep(0.5)
        raise RuntimeError(f"Airflow did not become healthy; the end of its log:\n{self.log_tail()}")

    def log_tail(self, characters: int = 4000) -> str:
        """Give the end of what Airflow's processes printed."""
        path = self.home / "airflow.log"
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""

    def stop(self) -> None:
        """End Airflow and all it started, by its process group."""
        self.close()
        if self._process is None:
            return
        for kill, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
            try:
                os.killpg(self._process.pid, kill)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and _group_lives(self._process):
                time.sleep(0.1)
            if not _group_lives(self._process):
                break
        self._process.wait()
        self._process = None

    def __enter__(self) -> AirflowProcess:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def settings(home: Path, dags: Path, port: int) -> dict[str, str]:
    """Give the variables of an Airflow on loopback, with an API server on this port and a LocalExecutor."""
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        # The commands that standalone starts are found beside this interpreter.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def set_password(home: Path, password: str) -> None:
    """Give the user a password before Airflow makes one up."""
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "simple_auth_manager_passwords.json.generated"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USER: password}))


def run_airflow(environment: Mapping[str, str], *arguments: str) -> str:
    """Run one ``airflow`` command to its end and give what it printed.

    :raises RuntimeError: it failed; the message holds the end of its output.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "airflow", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def inherited() -> dict[str, str]:
    """The environment without the settings of another Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """Find a free port on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
