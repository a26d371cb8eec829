"""What a server wrote, as a line of a log or a message may hold it: short, printable, on one line."""

from __future__ import annotations

from typing import Any

__all__ = ["shown"]

#: Characters that are shown unless more are asked for.
LENGTH = 100
#: Characters that are looked at: the rest of a huge text is not even copied.
_LOOKED_AT = 10_000


def shown(value: Any, length: int = LENGTH) -> str:
    """Write a value so that it can't fake a line of a log, move a terminal's cursor or fill a disk.

    :param length: most characters; what is shortened ends in ``…``.
    """
    whole = value if isinstance(value, str) else _written(value)
    text = " ".join(whole[:_LOOKED_AT].split())
    text = "".join(char if char.isprintable() else "?" for char in text[: length + 1])
    return text if len(text) <= length and len(whole) <= _LOOKED_AT else f"{text[:length]}…"


def _written(value: Any) -> str:
    """Write a JSON value; of a container that holds others only how much it holds."""
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)
