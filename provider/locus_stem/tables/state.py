"""A table's newest version and its columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locus_stem.tables.lake import Lake

__all__ = ["TableState", "state_of"]


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table is now.

    :param columns: name and type of each as Delta has it: ``long``, ``timestamp``, ``array<string>``.
    """

    version: int
    columns: tuple[tuple[str, str], ...]


def state_of(lake: Lake, name: str) -> TableState | None:
    """Read a table's state, None where there is no such table."""
    table = lake.open(name)
    if table is None:
        return None
    fields = json.loads(table.schema().to_json())["fields"]
    return TableState(table.version(), tuple((field["name"], _written(field["type"])) for field in fields))


def _written(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "array":
        return f"array<{_written(kind['elementType'])}>"
    return str(kind["type"])
