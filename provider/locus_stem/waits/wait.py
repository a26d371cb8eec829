"""A wait: settings that survive a trip through JSON, and the look that decides. Without IO: serves sync and async."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from locus_stem.api.errors import LocusStemError, RefusedError
from locus_stem.api.parameter import Kind, Param
from locus_stem.xcom import json_bytes, storable

if TYPE_CHECKING:
    from locus_stem.api.answer import Answer
    from locus_stem.api.client import AsyncLocusClient, AsyncStemClient, LocusClient, StemClient
    from locus_stem.api.endpoint import Call

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What was waited for is there.

    :param value: about it, as JSON values.
    """

    value: Any

    def within(self, max_xcom_bytes: int) -> Any:
        """Give the value if it is no larger; of a list the first items that fit, and say so in the log.

        :raises TooLargeError: it is larger, or a list's first item is.
        """
        value = storable(self.value)
        if isinstance(value, list) and (fitting := _fitting(value, max_xcom_bytes)):
            if left := len(value) - len(fitting):
                log.warning(
                    "Only the first %d of %d found are given on: more take over %d bytes of JSON (max_xcom_bytes)",
                    len(fitting), len(fitting) + left, max_xcom_bytes,
                )  # fmt: skip
            return fitting
        size = json_bytes(value)
        if size > max_xcom_bytes:
            raise TooLargeError(
                f"It is there, but what would be given on takes {size} bytes of JSON, max_xcom_bytes is "
                f"{max_xcom_bytes}: allow more, or wait for less"
            )
        return value


def _fitting(items: list[Any], max_bytes: int) -> list[Any]:
    """Give the first items that are together no larger as a list."""
    size = len("[]")
    for number, item in enumerate(items):
        size += json_bytes(item) + (len(", ") if number else 0)
        if size > max_bytes:
            return items[:number]
    return items


#: Yields one call at a time and is sent its answer, or thrown its refusal; gives None where it isn't there yet.
Look = Generator["Call", "Answer", Found | None]


class UnanswerableError(LocusStemError):
    """The API doesn't say what is waited for; the message tells what else to give."""


class TooLargeError(LocusStemError):
    """What was waited for is there, and too large to be given on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(ABC):
    """What is waited for; each field is a setting in its one canonical form."""

    @classmethod
    @abstractmethod
    def read(cls, **given: Any) -> Self:
        """Read settings as users write them, and as :meth:`settings` gives them.

        :raises ValueError: names the argument, the value and what is allowed.
        """

    @abstractmethod
    def look(self, now: datetime) -> Look:
        """Ask, one small request at a time, and decide.

        :param now: own clock in UTC.
        """

    @property
    def lacks_partner(self) -> bool:
        """Whether the partner is to be the connection's: `partner_id` is None."""
        return False

    def settings(self) -> dict[str, Any]:
        """Give the settings as JSON values, by name."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}


def look(wait: Wait, client: LocusClient | StemClient, now: datetime) -> Found | None:
    """Take one look.

    :raises LocusStemError: it failed.
    """
    looking = wait.look(now)
    try:
        call = next(looking)
        while True:
            try:
                answer = client.answer(call)
            except RefusedError as refusal:
                call = looking.throw(refusal)
            else:
                call = looking.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def look_async(wait: Wait, client: AsyncLocusClient | AsyncStemClient, now: datetime) -> Found | None:
    """Take one look; the decisions are those of :func:`look`.

    :raises LocusStemError: it failed.
    """
    looking = wait.look(now)
    call = next(looking, None)
    while call is not None:
        try:
            try:
                answer = await client.answer(call)
            except RefusedError as refusal:
                call = looking.throw(refusal)
            else:
                call = looking.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


# -- reading what users write


def number(argument: str, value: Any) -> int | None:
    """Read an id; None and an empty text, as a template may give, stand for none.

    :raises ValueError: it is no whole number above 0.
    """
    if value is None or value == "":
        return None
    return int(str(Param("", argument, Kind.NUMBER, "").read(value)))


def names(argument: str, value: Any, choices: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Read a list of names, or one text with commas; None and nothing stand for none.

    :raises ValueError: it is something else, or not among the choices.
    """
    if value is None or value == "" or (isinstance(value, list | tuple) and not value):
        return ()
    found = Param("", argument, Kind.NAMES, "", choices=choices).read(value)
    assert isinstance(found, tuple)  # noqa: S101 - what names are read to
    return tuple(map(str, found))


def text(argument: str, value: Any, choices: tuple[str, ...] = ()) -> str:
    """Read a text.

    :raises ValueError: it is empty, no text, or not among the choices.
    """
    return str(Param("", argument, Kind.TEXT, "", choices=choices).read(value))


def one_of_ids(*, allow_none: bool, **ids: Any) -> dict[str, int | None]:
    """Read ids of which one is given.

    :param allow_none: none may be given as well.
    :raises ValueError: names the ids.
    """
    found = {argument: number(argument, value) for argument, value in ids.items()}
    given = [argument for argument, value in found.items() if value is not None]
    if len(given) > 1 or not (given or allow_none):
        shown = ", ".join(f"{argument}={found[argument]}" for argument in given) or "nothing"
        raise ValueError(f"{shown} is refused; allowed: exactly one of {', '.join(found)}")
    return found
