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
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

USER = "admin"
HEALTHY_WITHIN = 420.0
FINISHED = {"success", "failed"}


class AirflowProcess:
    """``airflow standalone`` under this process: started, asked over its REST API with its login, and ended.

    :param home: Airflow's home; database, logs and generated password lie in it.
    :param dags: folder of the DAG files.
    :param environment: further variables: connections, configuration.
    """

    def __init__(self, home: Path, dags: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.environment = {**_inherited(), **self._settings(dags), **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=self.url, timeout=60.0)

    @property
    def url(self) -> str:
        """Address of the UI and of the REST API, on loopback."""
        return f"http://127.0.0.1:{self.port}"

    def _settings(self, dags: Path) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__TRIGGERER__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONUNBUFFERED": "1",
            # The commands that standalone starts are found beside this interpreter.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def run(self, *arguments: str) -> str:
        """Run one ``airflow`` command to its end and give what it printed.

        :raises RuntimeError: it failed; the message holds the end of its output.
        """
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(
                f"airflow {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-4000:]}"
            )
        return done.stdout

    def start(self) -> None:
        """Make the database, start everything, and wait until scheduler and API server are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "simple_auth_manager_passwords.json.generated"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: self.password}))
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
        answer = self._http.post("/auth/token", json={"username": USER, "password": self.password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _wait_healthy(self) -> None:
        assert self._process is not None  # noqa: S101
        deadline = time.monotonic() + HEALTHY_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                health = self._http.get("/api/v2/monitor/health").json()
                if all(
                    health[part]["status"] == "healthy"
                    for part in ("metadatabase", "scheduler", "dag_processor")
                ):
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            time.sleep(0.5)
        raise RuntimeError(f"Airflow did not become healthy; the end of its log:\n{self.log_tail()}")

    def log_tail(self, characters: int = 4000) -> str:
        """Give the end of what Airflow's processes printed."""
        path = self.home / "airflow.log"
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """Call the REST API with the login's token.

        :raises RuntimeError: the API refused; the message holds its answer.
        """
        return self._answer(method, f"/api/v2{path}", body, query)

    def ui(self, path: str) -> Any:
        """Read what the UI reads beside the public API."""
        return self._answer("GET", f"/ui{path}", None, {})

    def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]
    ) -> Any:
        answer = self._http.request(method, path, json=body, params=query)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: HTTP {answer.status_code}: {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def wait_for_dag(self, dag_id: str, within: float = 120.0) -> None:
        """Wait until a DAG file has been read.

        :raises RuntimeError: it has not within the time; the message holds the import errors.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if any(dag["dag_id"] == dag_id for dag in self.api("GET", "/dags", limit=100)["dags"]):
                return
            time.sleep(0.5)
        raise RuntimeError(f"DAG {dag_id} did not appear: {self.api('GET', '/importErrors')}")

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start."""
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Start no more of a DAG's runs."""
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": True})

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, logical_date: str | None = None
    ) -> str:
        """Trigger a run as the UI does; give its id."""
        body = {"conf": dict(conf or {}), "logical_date": logical_date}
        return str(self.api("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def wait(self, dag_id: str, run_id: str, within: float = 600.0) -> str:
        """Wait for a run's end and give its state.

        :raises RuntimeError: it has not ended within the time.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            state = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            if state in FINISHED:
                return str(state)
            time.sleep(0.5)
        raise RuntimeError(f"{dag_id} {run_id} has not ended within {within:.0f} s:\n{self.log_tail()}")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """List a DAG's runs."""
        return list(self.api("GET", f"/dags/{dag_id}/dagRuns", limit=100)["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List a run's task instances."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self.api("GET", path, limit=1000)["task_instances"])

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Give the text of a task's log, a line an event."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.api("GET", path, map_index=map_index, full_content=True)["content"]
        return "\n".join(
            str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content
        )

    def stop(self) -> None:
        """End Airflow and all it started, by its process group."""
        self._http.close()
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


def _inherited() -> dict[str, str]:
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
