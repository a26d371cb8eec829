"""How long an answer can be: by what was asked for, and by what reading it would take. Told before it is read.

A few bytes of JSON can make a hundred bytes of Python objects, so that a body's length alone bounds no memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from locus_stem.api.granularity import GRANULARITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Longest body that is taken, in bytes, as sent and as decompressed.
MAX_BODY_BYTES = 64 * 2**20
#: Most memory, in bytes, that an answer's objects may take. The longest answers that are due stay below: a year of
#: three Stem streams at 900 s (105,000 rows) takes 0.1 GB, 60,000 components of a partner 0.2 GB.
MAX_WEIGHT = 224 * 2**20
#: Objects and lists within each other; the references' answers have four.
MAX_DEPTH = 32
#: Names of fields in an answer, each counted once. A name that comes again takes no more memory, one of its own is
#: copied again as a column's: by their weight 1.75 million would be taken, and need three times as much.
MAX_NAMES = 10_000
#: No answer is refused for being longer than what was asked for up to so many bytes: errors come as pages too.
LEAST_BYTES = 2**20
#: Objects beside the rows, and rows that come twice, are no reason to refuse an answer.
SPARE_OBJECTS = 100

# What each of these characters stands for takes, in bytes, at most: an object, a list, a value, a key's place.
_OBJECT, _LIST, _VALUE, _KEY = 200, 120, 64, 40
# Bytes of JSON: of a row besides its fields, of a field besides its name, of a row of a Stem stream.
_ROW_BYTES, _FIELD_BYTES, _STREAM_ROW_BYTES = 256, 64, 400

#: The shortest that an interval of a granularity lasts where the calendar decides.
_SHORTEST = {"daily": timedelta(hours=22), "monthly": timedelta(days=28), "yearly": timedelta(days=365)}


@dataclass(frozen=True, slots=True)
class Bound:
    """What the answer to a call holds at most.

    :param objects: JSON objects.
    :param length: bytes.
    """

    objects: int
    length: int


def data_bound(arguments: Mapping[str, Any]) -> Bound:
    """Bound the rows of a site's or component's data by the intervals and fields that are asked for."""
    gran = arguments["gran"]
    rows = 1
    if "start" in arguments and "end" in arguments:
        step = GRANULARITIES[gran].step or _SHORTEST.get(gran, timedelta(days=1))
        rows = _intervals(arguments["start"], arguments["end"], step)
    a_row = _ROW_BYTES + sum(2 * len(name) + _FIELD_BYTES for name in arguments["fields"])
    return _bound(rows, a_row)


def streams_bound(arguments: Mapping[str, Any], resolution: int) -> Bound:
    """Bound the rows of a site's streams.

    :param resolution: in seconds, where the arguments name none.
    """
    step = timedelta(seconds=arguments.get("resolution", resolution))
    streams = len(arguments.get("stream_type", ())) or 1
    return _bound(streams * (_intervals(arguments["start"], arguments["end"], step) + 1), _STREAM_ROW_BYTES)


def weight(body: bytes) -> int:
    """Reckon the most memory, in bytes, that a JSON body takes as text and as objects."""
    return (
        (_width(body) + _string_width(body)) * len(body)
        + _OBJECT * body.count(b"{")
        + _LIST * body.count(b"[")
        + _VALUE * body.count(b",")
        + _KEY * body.count(b":")
    )


def depth_and_names(value: Any) -> tuple[int, int]:
    """Count the objects and lists of a JSON value within each other, and the different names of their fields.

    Beyond :data:`MAX_DEPTH` and :data:`MAX_NAMES` neither is counted on.
    """
    depth, most = 0, 0
    names: set[str] = set()
    for depth, level in enumerate(islice(_levels(value), MAX_DEPTH + 1), start=1):  # noqa: B007
        for one in level:
            if most <= MAX_NAMES and isinstance(one, dict):
                if len(one) <= MAX_NAMES:  # else the names would be copied once more
                    names.update(one)
                most = max(len(one), len(names))
    return depth, most


def _levels(value: Any) -> Iterator[list[Any]]:
    """Give the objects and lists of a JSON value by their depth."""
    level = [value] if isinstance(value, (dict, list)) else []
    while level:
        yield level
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, (dict, list))
        ]


def _bound(rows: int, row_bytes: int) -> Bound:
    objects = 2 * rows + SPARE_OBJECTS
    return Bound(objects, LEAST_BYTES + objects * row_bytes)


def _intervals(start: str, end: str, step: timedelta) -> int:
    # both ends may lie within an interval, and the end may be inclusive
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)) // step + 3


def _width(body: bytes) -> int:
    """Give the bytes that a character of the body takes as text."""
    if body.isascii():
        return 1
    if re.search(rb"[\xf0-\xff]", body):
        return 4
    return 2 if re.search(rb"[\xc4-\xff]", body) else 1


def _string_width(body: bytes) -> int:
    """Give the bytes that a character of a string within the body takes at most; escapes make it wide."""
    if re.search(rb"\\u[dD][89abAB]", body):
        return 4
    return max(_width(body), 2 if b"\\u" in body else 1)
