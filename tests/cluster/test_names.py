"""What docker/ names of Airflow is there in the Airflow that it runs: options, commands, classes."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager

from support import compose

SERVICES = compose.services({})
ENVIRONMENT = compose.environment(SERVICES["init"], {})
OPTIONS = sorted(
    {name for service in SERVICES.values() for name in compose.environment(service, {}) if "__" in name}
)
ENTRYPOINT = (compose.DOCKER / "entrypoint.sh").read_text()
COMMANDS = sorted(set(re.findall(r"^ *(?:exec )?airflow ((?:\w+ )?[a-z]\w*)", ENTRYPOINT, re.MULTILINE)))
PARTS = [service["command"][0] for service in SERVICES.values() if service.get("restart") == "unless-stopped"
         and "command" in service]  # fmt: skip


@pytest.fixture(scope="module")
def sections():
    known = {name: set(section["options"]) for name, section in conf.configuration_description.items()}
    for _, more in ProvidersManager().provider_configs:
        for name, section in more.items():
            known.setdefault(name, set()).update(section["options"])
    return known


@pytest.mark.parametrize("variable", OPTIONS)
def test_airflow_has_the_option(sections, variable):
    section, option = variable.removeprefix("AIRFLOW__").removesuffix("_FILE").lower().split("__")
    assert option in sections[section]


def test_the_entrypoint_s_commands_are_all_looked_at():
    assert COMMANDS == ["celery worker", "connections import", "db migrate", "pools export", "pools import",
                        "users create"]  # fmt: skip


@pytest.mark.parametrize(
    "command", [*COMMANDS, "api-server", "scheduler", "dag-processor", "triggerer", "pools list"]
)
def test_airflow_has_the_command(monkeypatch, capsys, command):
    from airflow.cli import cli_parser

    for name in ("AIRFLOW__CORE__AUTH_MANAGER", "AIRFLOW__CORE__EXECUTOR"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    cli_parser.get_parser.cache_clear()
    with pytest.raises(SystemExit) as ended:
        cli_parser.get_parser().parse_args([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "Usage:" in capsys.readouterr().out


def test_every_part_of_the_file_is_one_that_the_entrypoint_or_airflow_knows():
    own = {"worker", "sandbox"}
    assert {word for word in PARTS if word not in {"sh", "postgres"}} - own == {
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
    }
    assert all(re.search(rf"^{word}\)|^ +{word}\)", ENTRYPOINT, re.MULTILINE) for word in own)


def test_the_auth_manager_can_be_imported():
    module, _, name = ENVIRONMENT["AIRFLOW__CORE__AUTH_MANAGER"].rpartition(".")
    assert name in vars(import_module(module))
