"""Every command on the documentation's pages and in the README is one that its program takes, and does what it says."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import textwrap
from importlib.metadata import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from locus_stem.config import default_lake_uri
from locus_stem.dags import LocusAccount, StemAccount, account_dags
from locus_stem.hooks.locus import LocusHook
from locus_stem.hooks.stem import StemHook
from locus_stem.hooks.webhook import Webhook
from locus_stem.sandbox.__main__ import _parser
from locus_stem.tables.lake import Lake
from support.compose import services

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "provider" / "docs"
DAGS = {dag.dag_id: dag for dag in account_dags(LocusAccount(), StemAccount())}
#: What a service's own image brings, by service.
OF_THE_IMAGE = {"postgres": {"pg_dump"}}
SECRETS = {
    "locus_default": ("solarnoc-user", "solarnoc-password", "client-id", "client-secret"),
    "stem_default": ("api-key",),
}


def blocks():
    for page in DOCS.rglob("*.rst"):
        found = re.findall(
            r"^( *)\.\. code-block:: bash\n\n((?:\1 +.*\n|\n)+)", page.read_text() + "\n", re.MULTILINE
        )
        yield from (textwrap.dedent(block) for _, block in found)
    yield from re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def commands():
    whole = "\n".join(blocks()).replace("\\\n", " ")
    found = [shlex.split(line, comments=True) for line in whole.splitlines()]
    return sorted({tuple(words) for words in found if words})


def of(*program):
    return [pytest.param(words[len(program) :], id=shlex.join(words)[:70]) for words in commands()
            if words[: len(program)] == program]  # fmt: skip


def test_every_command_is_of_a_program_whose_commands_are_tested():
    programs = {
        ("airflow",),
        ("pip", "install"),
        ("make",),
        ("export",),
        ("python", "-m", "locus_stem.sandbox"),
        ("docker", "compose"),
    }
    for words in commands():
        assert any(words[: len(program)] == program for program in programs), shlex.join(words)


@pytest.mark.parametrize("words", of("pip", "install"))
def test_what_pip_installs_is_this_package_with_extras_that_it_has(words):
    (name,) = (word for word in words if not word.startswith("--"))
    wanted = Requirement(name)
    assert wanted.name == "airflow-provider-locus-stem"
    assert wanted.extras <= set(metadata(wanted.name).get_all("Provides-Extra"))


@pytest.mark.parametrize("words", of("make"))
def test_make_has_the_target(words):
    assert len(words) == 1
    subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("words", of("docker", "compose"))
def test_the_compose_file_has_the_services_and_compose_the_options(words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    for option in ("--file", "--env-file"):
        parser.add_argument(option, type=lambda path: (ROOT / path).read_text())
    actions = parser.add_subparsers(required=True)
    up = actions.add_parser("up")
    for option in ("--build", "--detach"):
        up.add_argument(option, action="store_true")
    up.add_argument("--scale", type=lambda scale: services({})[scale.split("=")[0]])
    actions.add_parser("down").add_argument("--volumes", action="store_true")
    logs = actions.add_parser("logs")
    logs.add_argument("--follow", action="store_true")
    for action in (logs, actions.add_parser("exec"), actions.add_parser("stop")):
        action.add_argument("service", nargs="?", choices=services({}))
    run = actions.add_parser("run")
    for option in ("--rm", "--no-deps"):
        run.add_argument(option, action="store_true")
    run.add_argument("--entrypoint")
    run.add_argument("service", choices=services({}))
    for action in (run, actions.choices["exec"]):
        action.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(words)
    assert "services:" in chosen.file
    command = getattr(chosen, "command", None)
    if command and command[0] not in OF_THE_IMAGE.get(chosen.service, ()):
        mounts = {mount.split(":")[1] for mount in services({})[chosen.service]["volumes"]}
        assert any(word.startswith((*mounts, "/opt/locus-stem/entrypoint.sh")) for word in command)


@pytest.mark.parametrize("words", of("python", "-m", "locus_stem.sandbox"))
def test_the_sandbox_takes_the_options(words, capsys):
    if words == ("--help",):
        with pytest.raises(SystemExit, match="0"):
            _parser().parse_args(words)
        assert "--latency-ms" in capsys.readouterr().out
    else:
        assert _parser().parse_args(words).port


@pytest.mark.parametrize("words", of("export"))
def test_what_is_exported_is_read(words, monkeypatch):
    (assignment,) = words
    name, _, value = assignment.partition("=")
    monkeypatch.setenv(name, value)
    if name == "AIRFLOW__LOCUS_STEM__LAKE_URI":
        assert default_lake_uri() == value
        assert Lake(value).table_uri("runs") == f"{value}/runs"
    elif name == "AIRFLOW__OPENLINEAGE__TRANSPORT":
        from airflow.providers.openlineage.conf import transport

        assert getattr(transport, "__wrapped__", transport)()["url"] == "https://lineage.example.com"
    elif name.startswith("AIRFLOW_CONN_"):
        assert_credentials(name.removeprefix("AIRFLOW_CONN_").lower())
    else:
        handed_on = {key for one in services({}).values() for key in one.get("environment", {})}
        secrets = {"AIRFLOW__SECRETS__BACKEND", "AIRFLOW__SECRETS__BACKEND_KWARGS"}
        put_in = services({name: value}) != services({})
        assert name in secrets | handed_on or put_in


def test_the_secrets_backend_of_the_docs_gives_the_connection_of_the_docs(monkeypatch, tmp_path):
    from airflow.configuration import conf
    from airflow.sdk.module_loading import import_string

    for words in commands():
        name, _, value = words[-1].partition("=")
        if words[0] == "export" and name.startswith("AIRFLOW__SECRETS__"):
            monkeypatch.setenv(name, value)
    backend = import_string(conf.get("secrets", "backend"))
    (given,) = json.loads(conf.get("secrets", "backend_kwargs")).items()
    assert given == ("connections_file_path", "/run/secrets/connections.json")
    file = DOCS / "examples" / "connection_locus.json"
    assert backend(connections_file_path=str(file)).get_connection("locus_default").login == "solarnoc-user"


def assert_credentials(conn_id):
    if conn_id == "tickets":
        assert Webhook(conn_id).check().conn_id == conn_id
        return
    hook = {"locus_default": LocusHook, "stem_default": StemHook}[conn_id]()
    credentials = hook.credentials
    shown = [getattr(credentials, name, None) for name in
             ("username", "password", "client_id", "client_secret", "api_key")]  # fmt: skip
    assert tuple(value for value in shown if value) == SECRETS[conn_id]


@pytest.mark.parametrize(
    ("name", "conn_ids"),
    [
        ("connection_locus.json", ["locus_default"]),
        ("connection_stem.json", ["stem_default"]),
        ("connections_sandbox.json", ["locus_default", "stem_default"]),
    ],
)
def test_a_connection_of_the_examples_is_one_that_its_hook_takes(name, conn_ids, monkeypatch, server):
    found = json.loads((DOCS / "examples" / name).read_text())
    assert list(found) == conn_ids
    for conn_id, connection in found.items():
        if name == "connections_sandbox.json":
            connection["host"] = connection["host"].replace("http://127.0.0.1:8765", server.url)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        if name == "connections_sandbox.json":
            hook = {"locus_default": LocusHook, "stem_default": StemHook}[conn_id]()
            assert hook.test_connection()[0]
        else:
            assert_credentials(conn_id)


@pytest.mark.parametrize("words", of("airflow", "dags"))
def test_airflow_takes_the_command_of_a_dag_and_the_dag_takes_its_params(words):
    args = parsed("dags", *words)
    assert args.dag_id in DAGS
    params = DAGS[args.dag_id].params.dump()
    given = json.loads(getattr(args, "conf", None) or "{}")
    assert given.keys() <= params.keys()
    for name, value in given.items():
        DAGS[args.dag_id].params.get_param(name).resolve(value)


@pytest.mark.parametrize("words", of("airflow", "connections"))
def test_airflow_stores_the_connection_of_the_command(words, database, monkeypatch):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    monkeypatch.chdir(ROOT)
    args = parsed("connections", *words)
    added = [args.conn_id] if words[0] == "add" else list(json.loads(Path(args.file).read_text()))
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_(added)))
    args.func(args)
    with create_session() as session:
        stored = {
            one.conn_id: one.get_uri() for one in session.scalars(select(Connection)) if one.conn_id in added
        }
    assert list(stored) == added
    for conn_id, uri in stored.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", uri)
        assert_credentials(conn_id)


@pytest.mark.parametrize("words", of("airflow", "pools"))
def test_airflow_makes_the_pools_of_the_command(words, database, monkeypatch):
    from airflow.models.pool import Pool

    monkeypatch.chdir(ROOT)
    args = parsed("pools", *words)
    args.func(args)
    if words[0] == "set":
        due = {args.pool: int(args.slots)}
    else:
        due = {name: pool["slots"] for name, pool in json.loads(Path(args.file).read_text()).items()}
    assert due
    assert {name: Pool.get_pool(name).slots for name in due} == due


def test_no_other_command_of_airflow_is_in_the_docs():
    assert {words[1] for words in commands() if words[0] == "airflow"} == {"connections", "dags", "pools"}


def parsed(*words):
    from airflow.cli.cli_parser import get_parser

    return get_parser().parse_args(list(words))
