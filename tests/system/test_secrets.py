"""No secret where it doesn't belong: a real Airflow runs everything, failures included, and then all is searched.

Each secret is made of marks with characters between them that every encoding writes in its own way. One secret is given
away on purpose, in every place that is searched: where that one isn't found the search is worth nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pytest
from cryptography.fernet import Fernet
from deltalake import CommitProperties, write_deltalake

from locus_stem.dags.dag_set import LAKE, LOCUS, STEM
from locus_stem.demo.airflow_process import AirflowProcess, free_port
from locus_stem.sandbox.fleet import Fleet
from locus_stem.sandbox.options import Accepted, Options
from locus_stem.sandbox.reply import Reply, locus_error
from locus_stem.sandbox.server import Server
from support.canaries import ANY_TEXT, ASCII, IN_A_URL, LATIN, PLAIN, Canary, Search, command_lines
from support.certificates import self_signed
from support.contents import sqlite_values
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
        """Issue a token: each fourth is difficult to write, and would take Airflow's masking seconds as all of them."""
        number = len(self.canaries)
        return self.secret(f"token {number}", ASCII if number % 4 == 0 else PLAIN)

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
        "webhook_good": scene.webhook(f"{scene.receiver.url}/login/takes"),
    }
    ids: dict[str, list[str]] = {"final": ["bearer"], "later": [], "stem": [], "webhooks": []}

    def add(purpose: str, name: str, connection: dict[str, Any]) -> None:
        conn_id = f"{purpose}_{name}".replace("/", "_").replace("-", "_")
        made[conn_id] = connection
        ids[purpose].append(conn_id)

    extra = {"grant_type": "bearer", "partner_id": 1}
    refuses = f"{scene.hostile.url}/data/refuses"
    made["bearer"] = {
        "conn_type": "locus", "host": refuses, "password": known["bearer token"], "extra": extra
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
    proxy = f"proxied:{quote(known['proxy password'], safe='')}@127.0.0.1:{scene.hostile.server_port}"
    return {
        **{f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(fields) for conn_id, fields in made.items()},
        "SECRET_TEST_CONNECTIONS": json.dumps(ids),
        "SECRET_TEST_PLANTED": known["planted"],
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",  # of the libraries: those below say nothing of requests
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow=INFO asyncio=INFO aiosqlite=INFO",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage),
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": known["storage key"],
        "AWS_SESSION_TOKEN": known["storage token"],
        "HTTPS_PROXY": f"http://{proxy}",
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
                with suppress(RuntimeError):  # a mapped task's are found in the database
                    search.look("api xcoms", json.dumps(airflow.api("GET", path)))
    search.files(airflow.home)
    scene.encrypted = search.database(sqlite_values(airflow.home / "airflow.db"), FERNET_KEY)
    for line in scene.commands:
        search.look("command lines", line)
    for headers, body in scene.receiver.posts:
        search.look("webhook body", body)
        search.look("webhook headers", json.dumps(headers))
    return search


def give_away(scene: Scene, planted: str) -> None:
    """Put the secret that is to be found where no DAG can put it."""
    lake = scene.airflow.home / "lake"
    (lake / "_staging" / "planted").mkdir(parents=True)
    (lake / "_staging" / "planted" / "part.json").write_text(json.dumps(planted))
    note = CommitProperties(custom_metadata={"note": planted})
    write_deltalake(lake / "planted", pa.table({"x": [planted]}), commit_properties=note)
    httpx.post(f"{scene.receiver.url}/login/takes", json={"x": planted})
    with suppress(RuntimeError):  # there is no such DAG, but the request is noted
        scene.airflow.api("GET", f"/dags/{quote(planted, safe='')}")


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
        # Airflow builds its tasks' API at the first request; on a busy machine that takes longer than tasks wait
        httpx.get(f"{scene.airflow.url}/execution/health", timeout=300).raise_for_status()
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.3):
                scene.commands = scene.commands | command_lines()  # a new set: the old one may be in use

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
        give_away(scene, known["planted"])
        scene.search = look_everywhere(scene)
        yield scene


#: Where the secret is given away on purpose: each must be found, by a piece of the place's name.
GIVEN_AWAY = {
    "a task's log": r"logs/dag_id=secret_control/.*task_id=gives/attempt=1\.log",
    "an error's traceback": r"logs/dag_id=secret_control/.*task_id=raises/attempt=1\.log",
    "the triggerer's log": r"logs/dag_id=secret_control/.*task_id=waits/.*trigger.*\.log",
    "the DAG processor's log": r"logs/dag_processor/.*",
    "what the processes print": r"airflow\.log",
    "lineage": r"lineage\.json",
    "staging": r"lake/_staging/planted/part\.json",
    "a table": r"lake/planted/.*\.parquet",
    "a table's log": r"lake/planted/_delta_log/.*\.json",
    "an XCom": r"xcom\.value",
    "rendered fields": r"rendered_task_instance_fields\.rendered_fields",
    "an asset event": r"asset_event\.extra",
    "a run's params": r"dag_run\.conf",
    "a DAG's documentation": r"serialized_dag\.data(_compressed)?",
    "a trigger's settings": r"trigger\.(encrypted_)?kwargs",
    "command lines": r"command lines",
    "a webhook's body": r"webhook body",
    "the REST API": r"api (details|runs|tasks)",
}


@pytest.mark.parametrize("what", GIVEN_AWAY)
def test_a_secret_that_is_given_away_is_found(scene, what):
    places = scene.search.found["planted"]
    assert [place for place in places if re.fullmatch(GIVEN_AWAY[what], place)], sorted(places)


def test_what_was_to_succeed_succeeded_and_what_was_to_fail_failed(scene):
    report = json.dumps(scene.states, indent=1)
    pipelines = {
        name: state for name, state in scene.states.items() if name.split()[0] in {*LOCUS, *STEM, *LAKE}
    }
    assert {name.split()[0] for name in pipelines} == {*LOCUS, *STEM, *LAKE}
    assert set(pipelines.values()) == {"success"}, report
    failures = {name: state for name, state in scene.states.items() if name.startswith("secret_")}
    assert set(failures.values()) == {"failed"}, report
    for conn_id, answer in scene.tested.items():
        assert answer["status"] == conn_id.endswith("_default"), (conn_id, answer)


def test_libraries_logged_the_headers_of_answers_with_what_the_servers_gave_back(scene):
    logs = list(scene.airflow.home.glob("logs/dag_id=secret_*/**/*.log"))
    for library in ("receive_response_headers.complete", "urllib3.connectionpool"):
        assert any(library in path.read_text(errors="replace") for path in logs), library


def test_no_secret_is_found_anywhere(scene):
    theirs = {"webhook password", "webhook header", "webhook path", "webhook query"}
    found = {
        name: places - ({"webhook headers"} if name in theirs else set())
        for name, places in scene.search.found.items()
        if name != "planted"
    }
    assert {name: sorted(places) for name, places in found.items() if places} == {}
    assert sum(name.startswith("token ") for name in scene.canaries) > 20


def test_every_failure_was_met_and_the_servers_had_the_secrets_to_give_back(scene):
    asked = "\n".join(scene.hostile.requests)
    assert [path for path in (*FINAL, *LATER, *STEM_PATHS) if f"/{path}/" not in asked] == []
    held = Search(scene.canaries.values())
    held.look("sent", repr(scene.hostile.posts))
    assert {"webhook password", "webhook header", "api key", "bearer token"} <= held.found.keys()
    assert "CONNECT" in asked


def test_nothing_is_sent_to_where_redirects_lead_nor_to_a_server_that_nobody_vouches_for(scene):
    assert scene.trap.connections == 0
    assert scene.tls.requests == []


def test_airflow_encrypts_what_a_stored_connection_holds(scene):
    stored = [
        Fernet(FERNET_KEY).decrypt(content).decode()
        for place in ("connection.password", "connection.extra")
        for content in scene.encrypted[place]
    ]
    for name in ("stored password", "stored client_secret"):
        search = Search([scene.canaries[name]])
        search.look("decrypted", "\n".join(stored))
        assert search.found[name], "the connection isn't in the database"


def test_the_package_adds_no_page_and_every_route_asks_for_a_login(scene):
    plugins = scene.airflow.api("GET", "/plugins")["plugins"]
    (own,) = (plugin for plugin in plugins if plugin["name"] == "locus_stem")
    pages = ("fastapi_apps", "fastapi_root_middlewares", "external_views", "react_apps", "flask_blueprints",
             "appbuilder_views", "appbuilder_menu_items")  # fmt: skip
    assert {name: own[name] for name in pages if own.get(name)} == {}
    with httpx.Client(base_url=scene.airflow.url, timeout=60) as nobody:
        paths = nobody.get("/openapi.json").json()["paths"]
        assert len(paths) > 50
        assert [path for path in paths if "locus" in path or "stem" in path.split("/")] == []
        answered = {
            path
            for path, methods in paths.items()
            if "get" in methods and nobody.get(re.sub(r"{\w+}", "x", path)).status_code < 300
        }
    assert answered <= {"/api/v2/monitor/health", "/api/v2/version", "/api/v2/auth/login"}, answered
