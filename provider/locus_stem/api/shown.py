"""What a server wrote, as a line of a log or a message may hold it: short, printable, on one line."""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["described", "shown"]

#: Characters that are shown unless more are asked for.
LENGTH = 100
#: Characters that are looked at: the rest of a huge text is not even copied.
_LOOKED_AT = 10_000
#: What a time looks like, be it one that no calendar has.
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[-+]\d\d:?\d\d)?)?", re.ASCII)


def shown(value: Any, length: int = LENGTH) -> str:
    """Write a value so that it can't fake a line of a log, move a terminal's cursor or fill a disk.

    :param length: most characters; what is shortened ends in ``…``.
    """
    whole = value if isinstance(value, str) else _written(value)
    text = " ".join(whole[:_LOOKED_AT].split())
    text = "".join(char if char.isprintable() else "?" for char in text[: length + 1])
    return text if len(text) <= length and len(whole) <= _LOOKED_AT else f"{text[:length]}…"


def described(value: Any) -> str:
    """Say what stands where something else was due: itself where it may be a time, else only of what kind it is.

    For messages that are made far from where secrets are known: a server may give back any text that it was sent.
    """
    if isinstance(value, str):
        return repr(value) if _TIME.fullmatch(value) else f"text of {len(value)} character(s)"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if isinstance(value, float) and not math.isfinite(value) else "a number"
    return "nothing" if value is None else _written(value)


def _written(value: Any) -> str:
    """Write a JSON value; of a container that holds others only how much it holds."""
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)
