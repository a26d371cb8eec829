"""No secret where it doesn't belong: a real Airflow runs everything, failures included, and then all is searched.

Each secret is made of marks with characters between them that every encoding writes in its own way. One secret is given
away on purpose, in every place that is searched: where that one isn't found the search is worth nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from locus_stem.dags.dag_set import LAKE, LOCUS, STEM
from locus_stem.demo.airflow_process import AirflowProcess, free_port
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Accepted, Options
from locus_stem.sandbox.reply import Reply, locus_error
from locus_stem.sandbox.server import Server
from support.canaries import ANY_TEXT, ASCII, IN_A_URL, LATIN, Canary, Search, command_lines
from support.certificates import self_signed
from support.echoing import Hostile, Trap

pytestmark = pytest.mark.system
DAGS = Path(__file__).parent / "secret_dags"
FERNET_KEY = Fernet.generate_key().decode()
BACKFILL = "locus_daily_backfill"
#: Connections by what they do: their tasks fail at once, or their looks fail in a row, which is final here too.
FINAL = (
    "login/refuses", "data/forbids", "data/plain", "login/plain", "login/html", "data/limits", "data/status-in-body",
    "login/moved-host", "data/found-scheme", "login/temporary-scheme", "data/permanent-host", "data/bad-location",
)  # fmt: skip
LATER = ("login/cut", "data/statusline", "data/encoding", "data/hang", "data/reset", "login/no-token")
STEM_PATHS = ("data/refuses", "data/plain", "data/found-host")


@dataclass
class Scene:
    """Everything that runs, the secrets in it, and what was found where."""

    canaries: dict[str, Canary] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    tested: dict[str, dict[str, Any]] = field(default_factory=dict)
    encrypted: dict[str, set[bytes]] = field(default_factory=dict)
    commands: set[bytes] = field(default_factory=set)
    search: Any = None
    server: Any = None
    hostile: Any = None
    trap: Any = None
    tls: Any = None
    receiver: Any = None
    airflow: Any = None

    def secret(self, name: str, between: tuple[str, ...] = ANY_TEXT) -> str:
        self.canaries[name] = Canary.new(name, between)
        return self.canaries[name].value

    def token(self) -> str:
        return self.secret(f"token {len(self.canaries)}", ASCII)

    def oauth(self, host: str, **extra: Any) -> dict[str, Any]:
        app = {"client_id": "app", "client_secret": self.canaries["client secret"].value, "partner_id": 1}
        password = self.canaries["password"].value
        return {
            "conn_type": "locus", "host": host, "login": "solar", "password": password, "extra": {**app, **extra}
        }  # fmt: skip

    def webhook(self, host: str) -> dict[str, Any]:
        known = {name: canary.value for name, canary in self.canaries.items()}
        address = f"{host}/{known['webhook path']}?sig={known['webhook query']}"
        headers = {"X-Sender": known["webhook header"], "Accept": "application/json"}
        return {
            "conn_type": "http", "host": address, "login": "tickets", "password": known["webhook password"],
            "extra": {**headers, "timeout": 5},
        }  # fmt: skip


def connections(scene: Scene) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Describe all connections by id, and give the ids by their purpose."""
    known = {name: canary.value for name, canary in scene.canaries.items()}
    made = {
        "locus_default": scene.oauth(scene.server.url),
        "stem_default": {"conn_type": "stem", "host": scene.server.url, "password": known["api key"]},
        "webhook_good": scene.webhook(f"{scene.receiver.url}/login/no-body"),
    }
    ids: dict[str, list[str]] = {"final": ["bearer"], "later": [], "stem": [], "webhooks": []}

    def add(purpose: str, name: str, connection: dict[str, Any]) -> None:
        conn_id = f"{purpose}_{name}".replace("/", "_").replace("-", "_")
        made[conn_id] = connection
        ids[purpose].append(conn_id)

    extra = {"grant_type": "bearer", "partner_id": 1}
    made["bearer"] = {
        "conn_type": "locus", "host": f"{scene.hostile.url}/data/refuses", "password": known["bearer token"], "extra": extra
    }  # fmt: skip
    for path in FINAL:
        add("final", path, scene.oauth(f"{scene.hostile.url}/{path}"))
    for path in LATER:
        add("later", path, scene.oauth(f"{scene.hostile.url}/{path}", timeout=2))
    closed = f"http://127.0.0.1:{free_port()}"
    add("later", "closed", scene.oauth(closed))
    add("later", "self-signed", scene.oauth(f"https://localhost:{scene.tls.server_port}/data/refuses"))
    add("later", "proxy", scene.oauth(f"https://127.0.0.1:{scene.tls.server_port}/data/refuses"))
    for path in STEM_PATHS:
        stem = {"conn_type": "stem", "host": f"{scene.hostile.url}/{path}", "password": known["api key"]}
        add("stem", path, stem)
    for path in ("login/refuses", "login/temporary-host", "login/statusline"):
        add("webhooks", path, scene.webhook(f"{scene.hostile.url}/{path}"))
    add("webhooks", "closed", scene.webhook(closed))
    add("webhooks", "self-signed", scene.webhook(f"https://localhost:{scene.tls.server_port}/login/refuses"))
    return made, ids


def environment(scene: Scene, home: Path) -> dict[str, str]:
    made, ids = connections(scene)
    known = {name: canary.value for name, canary in scene.canaries.items()}
    lineage = {"type": "file", "log_file_path": f"{home}/lineage.json", "append": True}
    return {
        **{f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields) for conn_id, fields in made.items()},
        "SECRET_TEST_CONNECTIONS": json.dumps(ids),
        "SECRET_TEST_PLANTED": known["planted"],
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "httpx=DEBUG httpcore=DEBUG locus_stem=DEBUG urllib3=DEBUG",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage),
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": known["storage key"],
        "AWS_SESSION_TOKEN": known["storage token"],
        "HTTPS_PROXY": f"http://proxied:{quote(known['proxy password'], safe='')}@127.0.0.1:{scene.hostile.server_port}",
        "NO_PROXY": "localhost",
    }


def finished(scene: Scene, dag_id: str, run_id: str) -> None:
    scene.airflow.wait(dag_id, run_id, within=300)
    for task in scene.airflow.tasks(dag_id, run_id):
        name = f"{dag_id} {task['task_id']} {task['map_index']}"
        scene.states[name] = str(task["state"])


def scheduled(scene: Scene, dag_ids: tuple[str, ...]) -> None:
    for dag_id in dag_ids:
        scene.airflow.unpause(dag_id)
    for dag_id in dag_ids:
        deadline = time.monotonic() + 120
        while not (runs := scene.airflow.runs(dag_id)):
            assert time.monotonic() < deadline, scene.airflow.log_tail()
            time.sleep(0.3)
        finished(scene, dag_id, runs[0]["dag_run_id"])
        scene.airflow.pause(dag_id)


def gives_back(scene: Scene, site_id: int, status: int) -> None:
    """Let the sandbox answer for a site with everything that it was sent: as a refusal or a redirect."""
    plain = type(scene.server.application).reply

    def reply(request: Any, served: Any, fault: Any) -> Reply:
        if f"/sites/{site_id}/" not in request.path:
            return plain(scene.server.application, request, served, fault)
        said = f"{request.headers['Authorization']} {request.headers['Authorization']}"
        if status < 400:
            return Reply(status, said.encode(), {"Location": f"{scene.trap.url}/{quote(said)}"})
        return locus_error(status, said)

    scene.server.application.reply = reply


def play(scene: Scene) -> None:
    """Let everything run, what succeeds first."""
    airflow, fleet = scene.airflow, scene.server.fleet
    for dag_id in ("secret_asks", "secret_looks", "secret_webhooks", "secret_wait", "secret_control"):
        airflow.wait_for_dag(dag_id)
        airflow.unpause(dag_id)
    airflow.trigger("secret_wait")
    control = airflow.trigger("secret_control", {"shown": scene.canaries["planted"].value})
    begun = airflow.trigger("secret_webhooks")  # notes that nothing is known to these webhooks yet
    finished(scene, "secret_webhooks", begun)
    asked, looked = airflow.trigger("secret_asks"), airflow.trigger("secret_looks")
    scheduled(scene, (*LOCUS, *STEM, *LAKE))
    scene.server.revoke_tokens()
    for status in (403, 307):
        gives_back(scene, fleet.site_ids[1], status)
        airflow.unpause(BACKFILL)
        run_id = airflow.trigger(BACKFILL, {"lookback_days": 2, "granularity": "daily"})
        airflow.wait(BACKFILL, run_id)
        scene.states[f"backfill {status}"] = ",".join(
            sorted(f"{task['task_id']}={task['state']}" for task in airflow.tasks(BACKFILL, run_id))
        )
    del scene.server.application.reply
    finished(scene, "secret_webhooks", airflow.trigger("secret_webhooks"))
    finished(scene, "secret_asks", asked)
    finished(scene, "secret_looks", looked)
    for task in airflow.tasks("secret_control", control):
        scene.states[f"control {task['task_id']}"] = str(task["state"])


def press_the_button(scene: Scene) -> None:
    """Test each connection as the UI's button does."""
    made, _ = connections(scene)

    def press(conn_id: str, fields: dict[str, Any]) -> None:
        body = {"connection_id": f"tested_{conn_id}", **fields, "extra": json.dumps(fields.get("extra", {}))}
        scene.tested[conn_id] = scene.airflow.api("POST", "/connections/test", body)

    presses = [
        threading.Thread(target=press, args=(conn_id, fields))
        for conn_id, fields in made.items()
        if fields["conn_type"] != "http"
    ]
    for thread in presses:
        thread.start()
    for thread in presses:
        thread.join()


def look_everywhere(scene: Scene) -> Search:
    airflow = scene.airflow
    search = Search(scene.canaries.values())
    for path in (
        "/eventLogs",
        "/importErrors",
        "/assets/events",
        "/connections",
        "/config",
        "/plugins",
        "/pools",
    ):
        with suppress(RuntimeError):  # the configuration isn't shown by default
            search.look(f"api {path}", json.dumps(airflow.api("GET", path, limit=1000)))
    for conn_id, answer in scene.tested.items():
        search.look("api test button", json.dumps(answer, ensure_ascii=False))
        assert answer["message"], conn_id
    for dag in airflow.api("GET", "/dags", limit=100)["dags"]:
        dag_id = dag["dag_id"]
        search.look("api details", json.dumps(airflow.api("GET", f"/dags/{dag_id}/details")))
        for run in airflow.runs(dag_id):
            search.look("api runs", json.dumps(run))
            for task in airflow.tasks(dag_id, run["dag_run_id"]):
                search.look("api tasks", json.dumps(task))
                path = (
                    f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances/{task['task_id']}/xcomEntries"
                )
                search.look("api xcoms", json.dumps(airflow.api("GET", path)))
    search.files(airflow.home)
    scene.encrypted = search.database(airflow.home / "airflow.db", FERNET_KEY)
    for line in scene.commands:
        search.look("command lines", line)
    for headers, body in scene.receiver.posts:
        search.look("webhook body", body)
        search.look("webhook headers", json.dumps(headers))
    return search


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene()
    for name in ("password", "client secret", "proxy password", "planted", "storage key", "storage token"):
        scene.secret(name)
    for name in ("bearer token", "api key"):
        scene.secret(name, ASCII)
    for name in ("webhook password", "webhook header"):
        scene.secret(name, LATIN)
    for name in ("webhook path", "webhook query"):
        scene.secret(name, IN_A_URL)
    stored = {name: scene.secret(f"stored {name}") for name in ("password", "client_secret")}
    known = {name: canary.value for name, canary in scene.canaries.items()}
    accepted = Accepted(
        client_id="app", client_secret=known["client secret"], user="solar", password=known["password"],
        bearer_token=known["bearer token"], stem_api_key=known["api key"],
    )  # fmt: skip
    home = tmp_path_factory.mktemp("airflow")
    certificate = self_signed(tmp_path_factory.mktemp("certificate"))
    with ExitStack() as running:
        scene.server = running.enter_context(Server(Fleet(sites=4), Options(accepted=accepted)))
        scene.server.application.tokens._new = scene.token
        scene.trap = running.enter_context(Trap())
        scene.hostile, scene.receiver = (
            running.enter_context(Hostile(scene.trap.server_port, scene.token)) for _ in range(2)
        )
        scene.tls = running.enter_context(Hostile(scene.trap.server_port, scene.token, certificate))
        shown = [sys.executable, "-c", "import time; time.sleep(900)", known["planted"]]
        shows = subprocess.Popen(shown)
        running.callback(shows.wait)
        running.callback(shows.kill)
        scene.airflow = AirflowProcess(home, DAGS, environment(scene, home))
        running.enter_context(scene.airflow)
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.3):
                scene.commands |= command_lines()

        watching = threading.Thread(target=watch)
        watching.start()
        running.callback(watching.join)
        running.callback(ended.set)
        body = {
            "connection_id": "stored",
            **scene.oauth("https://api.locusenergy.com"),
            "password": stored["password"],
        }
        body["extra"] = json.dumps({**body["extra"], "client_secret": stored["client_secret"]})
        scene.airflow.api("POST", "/connections", body)
        play(scene)
        press_the_button(scene)
        (home / "lake" / "_staging" / "planted").mkdir(parents=True)
        (home / "lake" / "_staging" / "planted" / "part.json").write_text(json.dumps(known["planted"]))
        scene.search = look_everywhere(scene)
        yield scene


def test_what_was_to_succeed_succeeded_and_what_was_to_fail_failed(scene):
    report = json.dumps(scene.states, indent=1)
    pipelines = {
        name: state for name, state in scene.states.items() if name.split()[0] in {*LOCUS, *STEM, *LAKE}
    }
    assert {name.split()[0] for name in pipelines} == {*LOCUS, *STEM, *LAKE}
    assert set(pipelines.values()) == {"success"}, report
    failures = {name: state for name, state in scene.states.items() if name.startswith("secret_")}
    assert set(failures.values()) == {"failed"}, report
    print(report, json.dumps(scene.tested, indent=1))
    for place in sorted(scene.search.found["planted"]):
        print("planted", place)


def test_no_secret_is_found_anywhere(scene):
    theirs = {"webhook password", "webhook header", "webhook path", "webhook query"}
    found = {
        name: places - ({"webhook headers"} if name in theirs else set())
        for name, places in scene.search.found.items()
        if name != "planted"
    }
    assert {name: sorted(places) for name, places in found.items() if places} == {}
