"""One argument of an endpoint: its name in the API and in Python, what it takes, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

#: What a canonical argument can be: hashable, and the same after a trip through JSON.
Value = str | int | tuple[str, ...] | tuple[tuple[str, str], ...]

_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_SHORT_NAME = re.compile(r"[^\s,;{}()=]{1,100}")


class Kind(Enum):
    """What an argument takes; the value describes it for users."""

    NUMBER = "a whole number above 0"
    TEXT = "text"
    NAMES = "a list of texts, or one text with commas"
    LOCAL_TIME = "YYYY-MM-DDThh:mm:ss (read in the request's tz), or a datetime without zone"
    UTC_TIME = "YYYY-MM-DDThh:mm:ssZ, or a datetime with a zone"
    PAIRS = "a mapping of parameter to value, as dataavailable lists them"


#: Python types of what each kind takes, for signatures.
ANNOTATIONS = {
    Kind.NUMBER: "int",
    Kind.TEXT: "str",
    Kind.NAMES: "Sequence[str]",
    Kind.LOCAL_TIME: "str | datetime",
    Kind.UTC_TIME: "str | datetime",
    Kind.PAIRS: "Mapping[str, str]",
}


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of an endpoint.

    :param name: the API's own name of it: ``updatedSince``.
    :param argument: Python's: ``updated_since``.
    :param summary: what it means, with unit and default.
    :param choices: the values that are allowed, in any case, empty where any is.
    """

    name: str
    argument: str
    kind: Kind
    summary: str
    required: bool = False
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """Say which values are allowed."""
        if not self.choices:
            return self.kind.value
        return f"{'one or more' if self.kind is Kind.NAMES else 'one'} of {', '.join(self.choices)}"

    def read(self, value: Any) -> Value:
        """Bring a user's value to its one canonical form.

        :raises ValueError: names the argument, the value and what is allowed.
        """
        try:
            canonical = _READERS[self.kind](value)
        except (TypeError, ValueError):
            raise self._refused(value) from None
        if not self.choices:
            return canonical
        known = {choice.casefold(): choice for choice in self.choices}
        try:
            if isinstance(canonical, tuple):
                return tuple(known[str(item).casefold()] for item in canonical)
            chosen = known[str(canonical).casefold()]
        except KeyError:
            raise self._refused(value) from None
        return int(chosen) if self.kind is Kind.NUMBER else chosen

    def _refused(self, value: Any) -> ValueError:
        return ValueError(f"{self.argument}: {value!r} is refused; allowed: {self.allowed}")


def numeric_id(value: object) -> int | None:
    """Return an id that an answer or a user names, None of what can't be one."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) or None if _NUMBER.fullmatch(text) else None


def is_short_name(value: object) -> bool:
    """Whether a text can be a field's short name: it is asked for among others, and names a column."""
    return isinstance(value, str) and value.isprintable() and _SHORT_NAME.fullmatch(value) is not None


def written(name: str, value: Value) -> list[tuple[str, str]]:
    """Write a canonical value as pairs of the query string, not yet percent-encoded."""
    if not isinstance(value, tuple):
        return [(name, str(value))]
    if value and isinstance(value[0], tuple):
        return [(str(key), str(chosen)) for key, chosen in value]
    return [(name, ",".join(str(item) for item in value))] if value else []


def _number(value: Any) -> int:
    if (found := numeric_id(value)) is None:
        raise ValueError
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _names(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, Sequence) or not items:
        raise ValueError
    names = tuple(_text(item).strip() for item in items)
    if any("," in name for name in names):
        raise ValueError
    return tuple(dict.fromkeys(names))


def _local_time(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is not None or value.microsecond:
            raise ValueError
        value = value.isoformat()
    if not _LOCAL.fullmatch(value):
        raise ValueError
    datetime.fromisoformat(value)
    return str(value)


def _utc_time(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None or value.microsecond:
            raise ValueError
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
    if not isinstance(value, str) or not value.endswith("Z"):
        raise ValueError
    return f"{_local_time(value[:-1])}Z"


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((_text(name), _text(chosen)) for name, chosen in pairs)


_READERS: dict[Kind, Callable[[Any], Value]] = {
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.NAMES: _names,
    Kind.LOCAL_TIME: _local_time,
    Kind.UTC_TIME: _utc_time,
    Kind.PAIRS: _pairs,
}
