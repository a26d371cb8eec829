"""reStructuredText of the facts: code, tables, headings, and the package's own texts, which are Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def code(text: str) -> str:
    """Write a name or value."""
    return f"``{text}``"


def codes(texts: Iterable[str]) -> str:
    """Write names with commas between them."""
    return ", ".join(code(text) for text in texts)


def inline(text: str) -> str:
    """Write a text's `code` as reStructuredText's; nothing else of it is markup."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return "".join(code(part[1:-1]) if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return text if text.startswith("**") else re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", text)


def literal(text: str) -> str:
    """Write a text as it stands."""
    return "\n".join([".. code-block:: text", "", *(f"    {line}".rstrip() for line in text.splitlines())])


def heading(label: str, title: str) -> str:
    """Begin a section that can be referred to by its label."""
    return f".. _{label}:\n\n{title}\n{'-' * len(title)}\n\n"


def list_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    """Write a table.

    :param rows: cells, as many as the head has.
    :param widths: of the columns, in percent.
    """
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if number == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines)


def markdown(text: str) -> str:
    """Turn the Markdown that the package's own texts use into reStructuredText: headings, lists, paragraphs, code."""
    return "\n".join(_markdown_lines(text)).strip()


def _markdown_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        title = re.match(r"(#{2,4}) (.+)", line)
        if title:
            yield from (f".. rubric:: {inline(title[2])}", f"   :heading-level: {len(title[1])}")
        else:
            yield inline(line)
