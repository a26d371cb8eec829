"""Names and values as the SQL of deltalake's predicates and merges wants them."""

from __future__ import annotations

from datetime import UTC, date, datetime

__all__ = ["literal", "quoted"]


def quoted(name: str, source: str | None = None) -> str:
    """Return a column's name in double quotes, after the alias ``source`` where one is given."""
    text = '"' + name.replace('"', '""') + '"'
    return text if source is None else f"{source}.{text}"


def literal(value: str | float | date | datetime) -> str:
    """Return a value as SQL; an instant must be aware and is written in UTC."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
