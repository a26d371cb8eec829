"""docker/compose.yaml as Compose reads it: variables put in, what is shared merged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"
TRIAL = DOCKER / "trial.env"
#: A default may hold one more variable with a default of its own.
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::-(?P<default>(?:\$\{[^}]*\}|[^}])*))?\})")


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Give the services by name, whatever their profiles.

    :param variables: the environment of the command.
    """
    return dict(_put_in(yaml.safe_load(COMPOSE.read_text())["services"], variables))


def environment(
    service: Mapping[str, Any], variables: Mapping[str, str], given: Path | None = None
) -> dict[str, str]:
    """Give a container's variables: those of its files, the later first, and before them its own.

    Its own without a value are the command's, where it has them; else they are unset, whatever a file says.

    :param given: stands for the folder docker/secrets/; without it nothing is given there.
    """
    found: dict[str, str | None] = {}
    for file in service.get("env_file", []):
        if file.get("required", True):
            found |= _read(DOCKER / file["path"])
        elif given and (place := given / Path(file["path"]).name).is_file():
            found |= _read(place)
    for name, value in service.get("environment", {}).items():
        found[name] = variables.get(name) if value is None else str(value)
    return {name: value for name, value in found.items() if value is not None}


def trial() -> dict[str, str]:
    """Read docker/trial.env."""
    return _read(TRIAL)


def _read(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _put_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _put_in(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [_put_in(part, variables) for part in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _value(match, variables), value)
    return value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    return variables.get(match["name"]) or _put_in(match["default"] or "", variables)
