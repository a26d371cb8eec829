"""An object's JSON values as a column's; what doesn't fit is null and said in the log, never an error."""

from __future__ import annotations

import json
import logging
import math
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from locus_stem.api.shown import shown
from locus_stem.tables.schemas import CHANGE_DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from locus_stem.tables.schemas import TableSpec

__all__ = ["LONGEST_TEXT", "column_type", "converted", "table_of"]

log = logging.getLogger(__name__)
INT64 = range(-(2**63), 2**63)
#: Characters of a text that are stored; the end of a longer one is cut off.
LONGEST_TEXT = 32_768
#: Names that a column which the API adds can have, those of Delta's change data apart.
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,99}", re.ASCII)
#: So many columns beside its own a table gets from the API's answers; what comes after is left out.
MOST_COLUMNS = 200
# Python reads more as numbers than JSON's own: 1_000, digits of other scripts.
_WHOLE = re.compile(r"\s*[-+]?[0-9]{1,19}\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[-+]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][-+]?[0-9]{1,4})?\s*", re.ASCII)
# What moves a terminal's cursor or ends a text for some readers; line breaks and tabs may stand in a description.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _MisfitError(ValueError):
    """A value that can't be converted without a loss."""


def table_of(spec: TableSpec, rows: Sequence[Mapping[str, Any]], stored: pa.Schema) -> pa.Table:
    """Return rows as a table: the fixed columns, the stored ones, and new ones typed by their values.

    A column that no row has is null; an unknown column without any value is left out, and so is one whose name no
    column can have, or that would be one of more than :data:`MOST_COLUMNS`.
    """
    kinds: dict[str, pa.DataType] = {name: spec.columns[name] for name in spec.columns}
    kinds |= {field.name: field.type for field in stored if field.name not in kinds}
    added = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in kinds]
    left_out = []
    for name in added:
        if not _NAME.fullmatch(name) or name in CHANGE_DATA or len(kinds) >= len(spec.columns) + MOST_COLUMNS:
            left_out.append(name)
        elif (kind := column_type(name, [row.get(name) for row in rows])) is not None:
            kinds[name] = kind
    if left_out:
        log.warning(
            "%s: %d field(s) can't be columns and are left out, the first of them %s",
            spec.name, len(left_out), shown(left_out[0]),
        )  # fmt: skip
    return pa.table(
        {name: _column(spec, rows, name, kind) for name, kind in kinds.items()},
        schema=pa.schema([pa.field(name, kind) for name, kind in kinds.items()]),
    )


def column_type(name: str, values: Iterable[Any]) -> pa.DataType | None:
    """Return the type that an unknown column gets, None without any value.

    bool for true and false; int64 for whole numbers of a column ending in _id, else float64; all else is
    text.
    """
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return None
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int} and name.endswith("_id"):
        return pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def converted(value: Any, kind: pa.DataType) -> Any:
    """Return a JSON value as a column of this type takes it.

    :raises ValueError: it can't be converted without a loss
    """
    if value is None:
        return None
    if pa.types.is_string(kind):
        return _text(value)
    if pa.types.is_list(kind):
        if not isinstance(value, list):
            raise _MisfitError("not a list")
        return [_text(item) if item is not None else None for item in value]
    for matches, convert in (
        (pa.types.is_int64, _integer),
        (pa.types.is_float64, _number),
        (pa.types.is_boolean, _flag),
        (pa.types.is_date32, _day),
        (pa.types.is_timestamp, _instant),
    ):
        if matches(kind):
            return convert(value)
    raise _MisfitError(f"columns of type {kind} aren't written")


def _column(spec: TableSpec, rows: Sequence[Mapping[str, Any]], name: str, kind: pa.DataType) -> pa.Array:
    found = []
    misfits = []
    for row in rows:
        value = row.get(name)
        try:
            found.append(converted(value, kind))
        except (ValueError, OverflowError):
            found.append(None)
            misfits.append(value)
    if misfits:
        log.warning(
            "%s.%s: %d values aren't %s and are null now, the first of them %s",
            spec.name, name, len(misfits), kind, shown(misfits[0]),
        )  # fmt: skip
    return pa.array(found, kind)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT - 1]}…"
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text
    return _CONTROL.sub("\ufffd", text)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _MisfitError
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise _MisfitError
    if isinstance(value, float) and not math.isfinite(value):
        raise _MisfitError
    whole = int(value)
    if whole not in INT64 or (isinstance(value, float) and whole != value):
        raise _MisfitError
    return whole


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _MisfitError
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise _MisfitError
    number = float(value)
    if not math.isfinite(number) or (isinstance(value, int) and int(number) != value):
        raise _MisfitError
    return number


def _flag(value: Any) -> bool:
    known = {True: True, False: False, "true": True, "false": False}
    if not isinstance(value, str | int | float) or value not in known:
        raise _MisfitError
    return known[value]


def _day(value: Any) -> date:
    if isinstance(value, datetime) or not isinstance(value, str | date):
        raise _MisfitError
    return date.fromisoformat(value) if isinstance(value, str) else value


def _instant(value: Any) -> datetime:
    if not isinstance(value, str | datetime):
        raise _MisfitError
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    if instant.tzinfo is None:
        raise _MisfitError
    return instant.astimezone(UTC)
