"""A running Airflow, asked over its REST API with a login, as its users do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISHED = {"success", "failed"}
#: So often, with a pause in seconds, a call is sent again whose statement the database has refused, and which has
#: changed nothing by that: SQLite does so where others write for long.
TRIES, PAUSE = 5, 2.0


class AirflowRest:
    """Airflow's REST API: DAGs, runs, tasks and their logs.

    :param url: address of the API server.
    :param user: who logs in, with ``password``.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self.user = user
        self.password = password
        self._http = httpx.Client(base_url=url, timeout=60.0)

    def log_in(self) -> None:
        """Get a token for all further calls."""
        answer = self._http.post("/auth/token", json={"username": self.user, "password": self.password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def health(self) -> dict[str, Any]:
        """Give what the parts say of themselves; nothing while the API server doesn't answer."""
        try:
            return dict(self._http.get("/api/v2/monitor/health").json())
        except (httpx.HTTPError, ValueError):
            return {}

    def log_tail(self, characters: int = 4000) -> str:  # noqa: ARG002 - for those that know the logs
        """Give the end of what Airflow's processes printed, where that is known; errors quote it."""
        return ""

    def close(self) -> None:
        """End the connections."""
        self._http.close()

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
        for left in reversed(range(TRIES)):
            answer = self._http.request(method, path, json=body, params=query)
            if not left or not (answer.is_server_error and '"Database error"' in answer.text):
                break
            time.sleep(PAUSE)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: HTTP {answer.status_code}: {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def _poll(self, path: str) -> Any:
        """Read, where the server answers; else None."""
        try:
            answer = self._http.get(f"/api/v2{path}")
        except httpx.TransportError:
            return None
        if answer.is_client_error:
            raise RuntimeError(f"GET {path}: HTTP {answer.status_code}: {answer.text[:2000]}")
        return answer.json() if answer.is_success else None

    def wait_for_dag(self, dag_id: str, within: float = 120.0) -> None:
        """Wait until a DAG file has been read.

        :raises RuntimeError: it has not within the time; the message holds the import errors.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if any(dag["dag_id"] == dag_id for dag in self.api("GET", "/dags", limit=100)["dags"]):
                return
            time.sleep(1)
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
            # An API server or a database that restarts is asked again.
            answer = self._poll(f"/dags/{dag_id}/dagRuns/{run_id}")
            if answer is not None and answer["state"] in FINISHED:
                return str(answer["state"])
            time.sleep(1)
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
