"""Rows chosen by the values of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["with_values", "without_values"]

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def with_values(rows: Rows, column: str, values: Iterable[Any]) -> Rows:
    """Keep the rows that have one of these values."""
    return rows.filter(_have(rows, column, values))


def without_values(rows: Rows, column: str, values: Iterable[Any]) -> Rows:
    """Leave out the rows that have one of these values."""
    return rows.filter(pc.invert(_have(rows, column, values)))


def _have(rows: Rows, column: str, values: Iterable[Any]) -> pa.Array:
    if not isinstance(values, pa.Array):
        values = pa.array(list(values), rows.schema.field(column).type)
    return pc.is_in(rows.column(column), values)
