"""Names, values and filters as the SQL of deltalake's predicates and merges wants them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Filter", "literal", "quoted", "where"]

# (column, operator, value): = != < <= > >= in "not in"; with None, = and != ask whether there is a value.
Filter: TypeAlias = tuple[str, str, Any]

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")


def quoted(name: str, source: str | None = None) -> str:
    """Return a column's name in double quotes, after the alias ``source`` where one is given."""
    text = '"' + name.replace('"', '""') + '"'
    return text if source is None else f"{source}.{text}"


def literal(value: str | float | date | datetime) -> str:
    """Return a value as SQL; an instant must be aware and is written in UTC."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def where(filters: Iterable[Filter], source: str | None = None) -> str | None:
    """Return the condition that all filters hold, None without any.

    :param source: the alias of the table in a merge
    :raises ValueError: an operator that isn't known
    """
    return " AND ".join(_condition(quoted(column, source), *rest) for column, *rest in filters) or None


def _condition(name: str, operator: str, value: Any) -> str:
    if operator in {"in", "not in"}:
        values = ", ".join(literal(one) for one in value)
        if not values:
            return "FALSE" if operator == "in" else "TRUE"
        return f"{name} {operator.upper()} ({values})"
    if operator not in COMPARISONS:
        raise ValueError(
            f"operator {operator!r} is unknown; allowed are {', '.join(COMPARISONS)}, in, not in"
        )
    if value is None:
        return f"{name} IS {'' if operator == '=' else 'NOT '}NULL"
    return f"{name} {operator} {literal(value)}"
