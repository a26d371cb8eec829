"""Secrets that are recognised wherever a piece of them stands, and the places where that must not be."""

from __future__ import annotations

import base64
import json
import re
import secrets
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What stands between the marks of a secret: each is written otherwise in a URL, in JSON, in HTML or in Python.
ANY_TEXT = ('"', "%", "&", "+", "é", "\\'<", "€", "/=")
#: What a header can hold; LATIN is what a header of requests can hold.
ASCII = ('"', "%", "&", "+", "\\'<", "%2B", "/=")
LATIN = ('"', "%", "&", "+", "é", "\\'<")
#: What a path or a query can hold as it is.
IN_A_URL = ("%22", "%25", "+", "%C3%A9", "~", "'")
#: What every encoding writes as it is.
PLAIN = ("-", "_", ".")
#: How long a mark is, and what is looked for of it, in base64 too.
MARK = 8
_RUN = re.compile(rb"[0-9A-Za-z]{%d,}" % MARK)


@dataclass(frozen=True)
class Canary:
    """A secret made of marks, each of eight random hexadecimal digits, with difficult characters between them.

    A mark is written the same in every encoding but base64: one that is found gives away a piece of the secret, though
    the rest be masked.
    """

    name: str
    value: str
    marks: tuple[str, ...]

    @classmethod
    def new(cls, name: str, between: tuple[str, ...] = ANY_TEXT) -> Canary:
        marks = tuple(secrets.token_hex(MARK // 2) for _ in range(len(between) + 1))
        value = "".join(mark + other for mark, other in zip(marks, (*between, ""), strict=True))
        return cls(name, value, marks)

    @classmethod
    def of(cls, name: str, value: str) -> Canary:
        """Take a secret that something else has made: its marks are its pieces of eight letters and digits."""
        marks = tuple(re.findall(rf"[0-9A-Za-z]{{{MARK}}}", value))
        assert marks, f"{name} has no piece to know it by"
        return cls(name, value, marks)

    def needles(self) -> Iterator[bytes]:
        for mark in self.marks:
            yield mark.encode()
            yield mark.upper().encode()
            # base64 writes three bytes as four characters: a text has three ways to stand in it
            for offset in range(3):
                inner = mark.encode()[offset:]
                yield base64.b64encode(inner[: len(inner) // 3 * 3])


@dataclass
class Search:
    """Looks for canaries and notes by name where they are; marks that several canaries share are no canaries'."""

    canaries: Iterable[Canary]
    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    searched: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self._needles = {needle: canary.name for canary in self.canaries for needle in canary.needles()}
        assert {len(needle) for needle in self._needles} <= {MARK}

    def look(self, place: str, content: bytes | str) -> None:
        content = content.encode(errors="surrogatepass") if isinstance(content, str) else content
        self.searched[place] += 1
        # Thousands of needles in megabytes: asking for each would take minutes.
        for run in set(_RUN.findall(content)):
            for start in range(len(run) - MARK + 1):
                if name := self._needles.get(run[start : start + MARK]):
                    self.found[name].add(place)

    def files(self, folder: Path, besides: Iterable[str] = ()) -> None:
        """Look into every file and at the files' names.

        :param besides: what isn't looked into, by its name in the folder.
        """
        left_out = {folder / name for name in besides}
        for path in sorted(folder.rglob("*")):
            if not left_out.isdisjoint((path, *path.parents)):
                continue
            place = str(path.relative_to(folder))
            self.look(f"{place} (name)", str(path))
            if path.is_file():
                self.file(place, path.read_bytes())

    def file(self, place: str, content: bytes) -> None:
        """Look into a file, by its name into Parquet's columns as well."""
        self.look(place, content)
        if place.endswith(".parquet"):
            table = pq.read_table(BytesIO(content))
            self.look(place, json.dumps(table.to_pylist(), default=str, ensure_ascii=False))
            self.look(place, str(table.schema.metadata))

    def database(self, values: Iterable[tuple[str, bytes]], key: str) -> dict[str, set[bytes]]:
        """Look into values of columns; give what is encrypted, by column, after looking into it decrypted.

        Connections and variables are left encrypted: they are where secrets belong.

        :param values: each with its place, ``table.column``.
        """
        encrypted: dict[str, set[bytes]] = defaultdict(set)
        for place, content in values:
            self.look(place, content)
            plain = _decrypted(content, key)
            if plain is not None:
                encrypted[place].add(content)
                if place.partition(".")[0] not in {"connection", "variable"}:
                    self.look(place, plain)
            for unpacked in _unpacked(content):
                self.look(place, unpacked)
        return encrypted


def command_lines() -> set[bytes]:
    """Give the command lines of all processes of this machine, as ``ps`` shows them."""
    lines = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.add(path.read_bytes())
        except OSError:
            continue
    return lines


def _decrypted(content: bytes, key: str) -> bytes | None:
    try:
        return Fernet(key).decrypt(content) if content.startswith(b"gAAAA") else None
    except InvalidToken:
        return None


def _unpacked(content: bytes) -> Iterator[bytes]:
    try:
        yield zlib.decompress(content)
    except zlib.error:
        return
