"""A secret in all the forms in which a text can hold it, and a text without it."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN = "***"
#: From so many of its first characters on the beginning of a secret is hidden too: texts are cut off anywhere.
SHORTEST_BEGINNING = 8


def unmistakable(texts: Iterable[str]) -> list[str]:
    """Choose what is long enough to be hidden wherever it stands: what is shorter is part of ordinary words."""
    return [one for one in texts if len(one) >= SHORTEST_BEGINNING]


def spellings(secrets: Iterable[str | None]) -> tuple[str, ...]:
    """Give secrets as they can stand in a text, the longest first.

    As they are, in a form, a URL, a form or URL within a URL, JSON, HTML, in what Python shows of a text or of bytes,
    and read as Latin-1.
    """
    found = {spelling for secret in secrets if secret for spelling in _of(secret)}
    return _longest_first(found)


def basic(user: str | None, password: str | None) -> tuple[str, ...]:
    """Give a login as the header of basic authentication holds it, in either encoding; none without a password."""
    login = f"{user or ''}:{password}"
    return tuple(
        b64encode(login.encode(code, "replace")).decode() for code in ("utf-8", "latin-1") if password
    )


def scrubbed(text: str, secrets: Iterable[str | None]) -> str:
    """Take secrets out of a text in every spelling, and their beginnings where a text holds no more of them."""
    return without(text, spellings(secrets))


def without(text: str, spelled: Iterable[str]) -> str:
    """Do the same with secrets that are spelled already."""
    held = _begun_in(text, spelled)
    if not held:
        return text
    text = re.sub("|".join(map(re.escape, held)), HIDDEN, text, flags=re.IGNORECASE)
    return _without_beginnings(text, held)


def _begun_in(text: str, spelled: Iterable[str]) -> tuple[str, ...]:
    """Choose those whose beginning a text has: as a rule none of thousands, which would be a slow pattern.

    Only ASCII is looked at, whose letters have one other case.
    """
    if text.isascii():
        lower = text.lower()
        spelled = (one for one in spelled if not one.isascii() or one[:SHORTEST_BEGINNING].lower() in lower)
    return _longest_first(spelled)


def _longest_first(spelled: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(spelled, key=lambda one: (-len(one), one)))


def _of(secret: str) -> Iterator[str]:
    sent = secret.encode(errors="replace")
    escaped = [quote(sent), quote(sent, safe=""), quote_plus(sent)]
    escaped += [re.sub("%..", lambda found: found[0].lower(), one) for one in escaped]
    yield from (secret, *escaped)
    for one in escaped:  # a form within an address
        yield from (quote(one), quote(one, safe=""))
    for one in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        for unsafe in ("", "<>&", "<>&='"):  # as Go and as Gson write it
            written = one.translate({ord(char): f"\\u{ord(char):04x}" for char in unsafe})
            yield from (written, written.replace("/", "\\/"))  # as PHP does
        yield json.dumps(one)[1:-1]  # JSON within JSON
    named = html.escape(secret)
    yield from (named, html.escape(secret, quote=False), named.replace("&#x27;", "&apos;"))
    numbered = named.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    yield from (numbered, numbered.replace("+", "&#43;"))
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], repr(sent)[2:-1], sent.decode("latin-1"))
    if not secret.isascii():  # as Latin-1, which Python shows as bytes, or another reader garbles
        yield repr(secret.encode("latin-1", "replace"))[2:-1]
        yield from unmistakable(re.sub(r"[^\x00-\x7f]", other, secret) for other in ("", "?", "\ufffd"))


def _without_beginnings(text: str, spelled: tuple[str, ...]) -> str:
    least = re.compile("|".join(re.escape(one[:SHORTEST_BEGINNING]) for one in spelled), re.IGNORECASE)
    pieces, at = [], 0
    while (found := least.search(text, at)) is not None:
        pieces += [text[at : found.start()], HIDDEN]
        at = max(found.end(), found.start() + max(_alike(text, found.start(), one) for one in spelled))
    return "".join([*pieces, text[at:]])


def _alike(text: str, start: int, secret: str) -> int:
    """Count the characters from a place in a text on that are those of a secret."""
    held = text[start : start + len(secret)].lower()
    return next(
        (n for n, (one, other) in enumerate(zip(held, secret.lower(), strict=False)) if one != other),
        len(held),
    )
