"""Results of the suites that are too long for every change, as the suites wrote them into `provider/docs/results`."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markup import inline, list_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parents[1] / "results"
#: What every suite says about its run, before what it adds.
ABOUT = ("date", "python", "airflow")
#: Widths of columns, in characters, before they are shares of the page.
NARROWEST, WIDEST = 6, 60


def results(name: str, folder: Path = FOLDER) -> str:
    """Show a suite's results: a line of facts, then the table.

    :raises ValueError: the file isn't there, or isn't as `tests/support/results.py` writes it.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"there is no {path.name}: run the suite that writes it")
    try:
        held = json.loads(path.read_text(), parse_constant=_not_json)
        about, columns, rows = _parts(held)
    except ValueError as error:
        raise ValueError(f"{path.name} is no results file: {error}") from error
    cells = [tuple(map(_cell, row)) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *lines = [tuple(map(_paragraph, row)) for row in cells]
    return "\n\n".join(
        (
            _facts(about),
            list_table(head, lines, tuple(min(max(width, NARROWEST), WIDEST) for width in widths)),
        )
    )


def _parts(held: Any) -> tuple[Mapping[str, Any], Sequence[str], Sequence[Sequence[Any]]]:
    if not isinstance(held, dict) or held.keys() != {"about", "columns", "rows"}:
        raise ValueError("it must hold about, columns and rows, and nothing else")
    about, columns, rows = held["about"], held["columns"], held["rows"]
    if not isinstance(about, dict) or not about.keys() >= set(ABOUT):
        raise ValueError(f"about must hold {', '.join(ABOUT)}")
    date.fromisoformat(about["date"] if isinstance(about["date"], str) else "")
    if odd := {key: value for key, value in about.items() if not isinstance(value, str | int | float)}:
        raise ValueError(f"about holds more than text and numbers: {odd}")
    if not _is_list_of(columns, str) or len(set(columns)) < len(columns):
        raise ValueError("columns must be a list of headings, each once")
    if not _is_list_of(rows, list):
        raise ValueError("rows must be a list of lists, one at least")
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} values for {len(columns)} columns")
        if not all(value is None or isinstance(value, str | int | float) for value in row):
            raise ValueError(f"row {number} holds more than text, numbers, yes, no and nothing: {row}")
    return about, columns, rows


def _is_list_of(values: Any, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, kind) for value in values)


def _facts(about: Mapping[str, Any]) -> str:
    told = [f"Run on {about['date']}", f"Python {about['python']}", f"Airflow {about['airflow']}"]
    told += [f"{key.replace('_', ' ')}: {_cell(value)}" for key, value in about.items() if key not in ABOUT]
    return inline("; ".join(told)) + "."


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _paragraph(text: str) -> str:
    """Write a cell, in which a sign at the beginning opens no list."""
    return inline(text) if text[:1].isalpha() or not text else rf"\ {inline(text)}"


def _not_json(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
