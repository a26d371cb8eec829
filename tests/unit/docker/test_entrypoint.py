"""docker/entrypoint.sh: secrets from files, bounded waits, and the part that it becomes: `airflow` notes its calls."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from support import compose

REFUSED = 78
ENTRYPOINT = str(compose.DOCKER / "entrypoint.sh")
RIGHTLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
AIRFLOW = """#!{python}
import json, os, sys
with open({calls!r}, "a") as calls:
    names = [name for name in os.environ if name.startswith(("AIRFLOW", "ADMIN", "DATABASE", "BROKER", "AWS"))]
    stdin = sys.stdin.read() if sys.argv[1:3] == ["users", "create"] else ""
    given = open(sys.argv[-1]).read() if "import" in sys.argv else ""
    environment = {{name: os.environ[name] for name in names}}
    calls.write(json.dumps(dict(args=sys.argv[1:], env=environment, stdin=stdin, given=given)) + "\\n")
if sys.argv[1:3] == ["pools", "export"]:
    open(sys.argv[3], "w").write(open({pools!r}).read())
"""


class Fine(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Container:
    """A folder that stands for a container's."""

    def __init__(self, folder):
        self.folder = folder
        self.calls = folder / "calls"
        self.pools = folder / "pools-there.json"
        self.pools.write_text("{}")
        programs = folder / "bin"
        for made in (programs, folder / "secrets", folder / "given", folder / "dags"):
            made.mkdir()
        fake = programs / "airflow"
        fake.write_text(AIRFLOW.format(python=sys.executable, calls=str(self.calls), pools=str(self.pools)))
        fake.chmod(0o755)
        python = Path(sys.executable).parent
        self.environment = {
            "PATH": f"{programs}:{python}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(folder),
            "SECRETS": str(folder / "secrets"),
            "GIVEN": str(folder / "given"),
            "HOSTNAME": "worker-7",
            "WAIT_SECONDS": "1",
        }

    def run(self, *arguments, **variables):
        return self._run(["bash", ENTRYPOINT, *arguments], variables)

    def run_without_rights(self, *arguments):
        """Run it as user 50000 would: root's right to open what is closed is taken away."""
        user = RIGHTLESS if os.geteuid() == 0 else []
        return self._run([*user, "bash", ENTRYPOINT, *arguments], {})

    def _run(self, command, variables):
        return subprocess.run(
            command,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def called(self):
        return (
            [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []
        )

    def secrets(self):
        return {
            path.name: path.read_text().strip()
            for path in (self.folder / "secrets").rglob("*")
            if path.is_file()
        }


@pytest.fixture
def container(tmp_path):
    return Container(tmp_path)


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def variables(container, port):
    """What compose.yaml gives its parts, as files and addresses."""
    assert container.run("secrets").returncode == 0
    services = compose.services({})
    found = compose.environment(services["scheduler"], {}) | compose.environment(services["init"], {})
    found = {
        name: value.replace("/secrets", str(container.folder / "secrets")) for name, value in found.items()
    }
    hosts = dict.fromkeys(("DATABASE_HOST", "BROKER_HOST"), "127.0.0.1")
    return found | hosts | dict.fromkeys(("DATABASE_PORT", "BROKER_PORT"), str(port))


def test_secrets_that_nobody_gives_are_generated_once_and_never_shown(container):
    first = container.run("secrets")
    made = container.secrets()
    assert set(made) == {"password", "fernet_key", "jwt_secret", "api_secret_key", "admin_password"}
    assert (
        len({path.read_text() for path in (container.folder / "secrets").rglob("*") if path.is_file()}) == 6
    )
    again = container.run("secrets")
    assert container.secrets() == made
    assert again.stderr.count("kept") == 6
    shown = first.stdout + first.stderr + again.stdout + again.stderr
    assert not [value for value in made.values() if value in shown]


def test_secrets_can_be_read_by_nobody_who_has_no_use_for_them(container):
    container.run("secrets")
    modes = {
        path.relative_to(container.folder / "secrets").as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (container.folder / "secrets").rglob("*")
        if path.is_file()
    }
    assert {name for name, mode in modes.items() if mode & 0o007} == {"postgres/password", "redis/password"}
    assert not [name for name, mode in modes.items() if mode & 0o222]


def test_a_secret_that_is_given_replaces_the_one_that_was_generated(container):
    container.run("secrets")
    (container.folder / "given" / "fernet_key").write_text("from-the-file\n")
    assert container.run("secrets", JWT_SECRET="from-the-environment").returncode == 0
    made = container.secrets()
    assert (made["fernet_key"], made["jwt_secret"]) == ("from-the-file", "from-the-environment")


def test_connections_that_are_taken_out_again_are_not_imported_any_more(container, variables):
    given = container.folder / "given" / "connections.json"
    given.write_text("{}")
    container.run("secrets")
    assert container.secrets()["connections.json"] == "{}"
    given.unlink()
    assert container.run("secrets").returncode == 0
    assert "connections.json" not in container.secrets()
    assert container.run("init", **variables).returncode == 0
    assert "connections" not in [call["args"][0] for call in container.called()]


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_given_secrets_in_a_closed_folder_are_not_taken_for_none(container, mode):
    given = container.folder / "given"
    (given / "fernet_key").write_text("from-the-file\n")
    given.chmod(mode)
    done = container.run_without_rights("secrets")
    given.chmod(0o700)
    assert done.returncode == REFUSED
    assert "the folder of given secrets: user" in done.stderr
    assert container.secrets() == {}


def test_without_a_folder_of_given_secrets_they_are_generated(container):
    (container.folder / "given").rmdir()
    assert container.run_without_rights("secrets").returncode == 0


@pytest.mark.parametrize("bad", ["", "two words", 'a"quote', "a\\backslash", "two\nlines"])
def test_a_secret_that_no_settings_file_can_hold_is_refused(container, bad):
    (container.folder / "given" / "redis_password").write_text(bad)
    done = container.run("secrets")
    assert done.returncode == REFUSED
    assert "secret redis_password" in done.stderr
    assert "redis" not in {path.parent.name for path in (container.folder / "secrets").rglob("password")}


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__API__SECRET_KEY",
        "DATABASE_PASSWORD",
    ],
)
def test_a_part_refuses_to_make_up_a_secret_that_all_parts_share(container, variables, name):
    del variables[f"{name}_FILE"]
    done = container.run("scheduler", **variables)
    assert done.returncode == REFUSED
    assert f"{name} is not given: set it, or {name}_FILE" in done.stderr
    assert container.called() == []


@pytest.mark.parametrize("part", ["worker", "triggerer", "dag-processor", "init", "airflow"])
def test_what_runs_code_of_dags_needs_no_key_to_tokens(container, variables, part):
    del variables["AIRFLOW__API_AUTH__JWT_SECRET_FILE"]
    done = container.run(part, **variables)
    assert done.returncode == 0, done.stderr
    assert container.called()


def test_a_secret_that_is_given_twice_or_as_no_file_is_refused(container, variables):
    twice = container.run("scheduler", **variables, DATABASE_PASSWORD="other")
    assert (twice.returncode, "both DATABASE_PASSWORD and DATABASE_PASSWORD_FILE" in twice.stderr) == (
        REFUSED,
        True,
    )
    absent = container.run("scheduler", **variables | {"BROKER_PASSWORD_FILE": "/nowhere"})
    assert (absent.returncode, "there is no file /nowhere" in absent.stderr) == (REFUSED, True)
    assert container.called() == []


@pytest.mark.parametrize(
    ("part", "command"),
    [
        ("api-server", ["api-server"]),
        ("scheduler", ["scheduler"]),
        ("worker", ["celery", "worker", "--celery-hostname", "worker-7"]),
    ],
)
def test_it_becomes_the_part_with_whole_addresses_and_only_the_secrets_of_airflow(
    container, variables, port, part, command
):
    (container.folder / "given" / "postgres_password").write_text("p@ss/w%rd:#?")
    container.run("secrets")
    done = container.run(part, **variables)
    assert done.returncode == 0, done.stderr
    (call,) = container.called()
    assert call["args"] == command
    assert call["env"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == (
        f"postgresql+psycopg2://airflow:p%40ss%2Fw%25rd%3A%23%3F@127.0.0.1:{port}/airflow"
    )
    broker = (container.folder / "secrets" / "redis" / "password").read_text().strip()
    assert call["env"]["AIRFLOW__CELERY__BROKER_URL"] == f"redis://:{broker}@127.0.0.1:{port}/0"
    assert call["env"]["AIRFLOW__CORE__FERNET_KEY"] == container.secrets()["fernet_key"]
    assert not {"ADMIN_PASSWORD", "DATABASE_PASSWORD", "BROKER_PASSWORD"} & set(call["env"])


@pytest.mark.parametrize(
    ("trusted", "options"), [({}, []), ({"FORWARDED_ALLOW_IPS": "*"}, ["--proxy-headers"])]
)
def test_the_api_server_reads_a_proxy_s_headers_where_one_is_trusted(container, variables, trusted, options):
    assert container.run("api-server", "--workers", "2", **variables, **trusted).returncode == 0
    (call,) = container.called()
    assert call["args"] == ["api-server", "--workers", "2", *options]


@pytest.mark.parametrize(
    ("browsers", "path"),
    [
        ("http://localhost:8080", ""),
        ("https://airflow.example.com/", ""),
        ("https://example.com/data/airflow/", "/data/airflow"),
    ],
)
def test_parts_reach_the_api_server_below_the_path_at_which_browsers_do(container, variables, browsers, path):
    assert container.run("scheduler", **variables | {"AIRFLOW__API__BASE_URL": browsers}).returncode == 0
    (call,) = container.called()
    assert (
        call["env"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://api-server:8080{path}/execution/"
    )


@pytest.mark.parametrize(
    ("part", "service"), [("api-server", "database"), ("worker", "broker"), ("init", "database")]
)
def test_it_waits_for_a_bounded_time_and_says_for_what(container, variables, part, service):
    with socket.socket() as unused:  # bound, but nothing listens
        unused.bind(("127.0.0.1", 0))
        closed = str(unused.getsockname()[1])
        done = container.run(part, **variables | {f"{service.upper()}_PORT": closed})
    assert done.returncode == REFUSED
    assert f"the {service} at 127.0.0.1:{closed} has not answered for 1 s" in done.stderr
    assert container.called() == []


@pytest.fixture
def only_the_database_answers(container, port):
    """Whatever this machine's network says of other hosts: the entrypoint tries them under `timeout`."""
    fake = container.folder / "bin" / "timeout"
    fake.write_text(f'#!/bin/sh\n[ "$5:$6" = 127.0.0.1:{port} ]\n')
    fake.chmod(0o755)


@pytest.mark.usefixtures("only_the_database_answers")
@pytest.mark.parametrize(
    ("scheme", "usual"),
    [("amqp", 5672), ("amqps", 5671), ("redis", 6379), ("rediss", 6379), ("postgresql+psycopg2", 5432),
     ("mysql+mysqldb", 3306)],
)  # fmt: skip
def test_an_address_without_a_port_is_waited_for_at_the_scheme_s_own(container, variables, scheme, usual):
    address = f"{scheme}://user:password@broker.example/name"
    done = container.run("worker", **variables, AIRFLOW__CELERY__BROKER_URL=address, WAIT_SECONDS="0")
    assert done.returncode == REFUSED
    assert f"the broker at broker.example:{usual} has not answered" in done.stderr


@pytest.mark.usefixtures("only_the_database_answers")
@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg2:///airflow?host=/run/postgres",
        "sqs://",
        "sqs://key:secret@queue",
        "sentinel://one:26379;sentinel://two:26379",
        "sentinel://:pass@one;sentinel://:pass@two",
        "postgresql://user:pass@one:5432,two:5432/airflow",
    ],
)
def test_an_address_without_a_host_or_a_port_or_of_several_is_not_waited_for(container, variables, address):
    done = container.run("worker", **variables, AIRFLOW__CELERY__BROKER_URL=address, WAIT_SECONDS="0")
    assert done.returncode == 0, done.stderr
    (call,) = container.called()
    assert call["env"]["AIRFLOW__CELERY__BROKER_URL"] == address


def test_a_connection_and_the_lake_s_keys_can_be_files(container, variables):
    for name, text in (("locus", '{"conn_type": "locus"}'), ("key", "lake-key")):
        (container.folder / name).write_text(text + "\n")
    files = {
        "AIRFLOW_CONN_LOCUS_DEFAULT_FILE": str(container.folder / "locus"),
        "AWS_SECRET_ACCESS_KEY_FILE": str(container.folder / "key"),
    }
    assert container.run("airflow", "pools", "list", **variables, **files).returncode == 0
    (call,) = container.called()
    assert call["args"] == ["pools", "list"]
    assert call["env"]["AIRFLOW_CONN_LOCUS_DEFAULT"] == '{"conn_type": "locus"}'
    assert call["env"]["AWS_SECRET_ACCESS_KEY"] == "lake-key"


@pytest.mark.parametrize(
    "value", ['{"conn_type": "locus", "password": "hidden"}', "http://me:hidden@example.com"]
)
def test_a_connection_whose_id_ends_in_file_is_left_as_it_is(container, variables, value):
    done = container.run("scheduler", **variables, AIRFLOW_CONN_MY_FILE=value)
    assert done.returncode == 0, done.stderr
    (call,) = container.called()
    assert call["env"]["AIRFLOW_CONN_MY_FILE"] == value
    assert "AIRFLOW_CONN_MY" not in call["env"]


def test_what_is_given_where_a_path_is_due_is_never_shown(container, variables):
    done = container.run("scheduler", **variables | {"BROKER_PASSWORD_FILE": "hidden"})
    assert (done.returncode, "BROKER_PASSWORD_FILE: give the whole path" in done.stderr) == (REFUSED, True)
    assert "hidden" not in done.stdout + done.stderr


def test_the_first_start_migrates_makes_the_login_pools_and_connections(container, variables):
    (container.folder / "dags" / "pools.json").write_text(
        '{"locus_api": {"slots": 1}, "stem_api": {"slots": 4}}'
    )
    container.pools.write_text('{"locus_api": {"slots": 3}}')
    (container.folder / "given" / "connections.json").write_text('{"locus_default": {}}')
    container.run("secrets")
    done = container.run("init", **variables)
    assert done.returncode == 0, done.stderr
    calls = container.called()
    assert [call["args"][:2] for call in calls] == [
        ["db", "migrate"],
        ["users", "create"],
        ["pools", "export"],
        ["pools", "import"],
        ["connections", "import"],
    ]
    password = container.secrets()["admin_password"]
    assert calls[1]["stdin"] == f"{password}\n{password}\n"
    assert password not in json.dumps([call["args"] for call in calls])
    assert json.loads(calls[3]["given"]) == {
        "stem_api": {"slots": 4}
    }  # the other keeps the size that it was given
    assert calls[4]["args"][2] == "--overwrite"
    assert calls[4]["given"].strip() == '{"locus_default": {}}'


def test_without_a_password_for_the_first_login_nothing_is_left_open(container, variables):
    del variables["ADMIN_PASSWORD_FILE"]
    done = container.run("init", **variables)
    assert done.returncode == REFUSED
    assert "ADMIN_PASSWORD is not given" in done.stderr


def test_a_word_is_needed(container):
    done = container.run()
    assert done.returncode == REFUSED
    assert "which part?" in done.stderr


@pytest.mark.parametrize(
    ("lake", "endpoint", "status"),
    [
        ("s3://lake/tables", "http://s3:5000", 0),
        ("file:///opt/airflow/lake", "", 0),
        ("s3://ours/lake", "https://s3.example.com", REFUSED),
        ("s3://ours/lake", "", REFUSED),
        ("gs://ours/lake", "", REFUSED),
    ],
)
def test_the_sandbox_s_rows_get_into_no_lake_but_the_trial_s(container, variables, lake, endpoint, status):
    """What a shell has exported wins over trial.env."""
    file = container.folder / "sandbox-connections.json"
    file.write_text("{}")
    given = {
        "CONNECTIONS_FILE": str(file),
        "AIRFLOW__LOCUS_STEM__LAKE_URI": lake,
        "AWS_ENDPOINT_URL": endpoint,
    }
    done = container.run("init", **{**variables, **given})
    assert done.returncode == status, done.stderr
    if status:
        assert f"the sandbox's rows would go into {lake}" in done.stderr
        assert container.called() == []


def test_a_folder_of_dags_that_is_closed_is_refused_and_pools_that_lack_are_told_of(container, variables):
    assert "make the pools in the UI" in container.run("init", **variables).stderr
    (container.folder / "dags").chmod(0o700)
    os.chown(container.folder / "dags", 1, 1)
    before = len(container.called())
    container.environment |= variables
    done = container.run_without_rights("init")
    assert done.returncode == REFUSED
    assert "the folder of DAGs" in done.stderr
    assert len(container.called()) == before


def test_health_is_asked_for_directly_whatever_proxy_is_given(container):
    with HTTPServer(("127.0.0.1", 0), Fine) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        nowhere = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
        done = container.run("healthy", "sandbox", SANDBOX_PORT=str(server.server_port), **nowhere)
        thread.join(10)
    assert done.returncode == 0, done.stderr
