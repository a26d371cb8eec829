"""Write provider/docs/endpoints.md from the endpoints' descriptions: `python scripts/make_endpoint_docs.py`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from locus_stem.api.locus import LOCUS_ENDPOINTS
from locus_stem.api.stem import STEM_ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locus_stem.api.endpoint import Endpoint
    from locus_stem.api.parameter import Param

PAGE = Path(__file__).parents[1] / "provider" / "docs" / "endpoints.md"
INTRODUCTION = """\
# Endpoints

Each endpoint of both APIs is a method of its vendor's hook, and of its vendor's operator the value of the argument
`endpoint`. Both take the same arguments by the same names; an operator takes them as `arguments`, a mapping in which
everything is a template. Required arguments are **bold**. Of `LocusEndpointOperator`, `partner_id` may be left out: it
is then the connection's. `StemEndpointOperator` follows lists from `page` on to their end, where the hook's method
gives one page.
"""


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())


def page() -> str:
    """Make the page's text."""
    return "\n".join(
        [
            INTRODUCTION,
            *_section("Locus Energy v3 API", LOCUS_ENDPOINTS, "LocusHook", "LocusEndpointOperator"),
            "",
            *_section("Stem Developer Data API", STEM_ENDPOINTS, "StemHook", "StemEndpointOperator"),
            "",
        ]
    )


def _section(title: str, endpoints: Iterable[Endpoint], hook: str, operator: str) -> list[str]:
    lines = [f"## {title}", "", "| Endpoint | What it does | Hook method | Operator | Arguments |"]
    lines.append("|---|---|---|---|---|")
    for endpoint in endpoints:
        cells = (
            f"`{endpoint.method} {endpoint.path}`",
            endpoint.summary,
            f"`{hook}.{endpoint.name}`",
            f'`{operator}(endpoint="{endpoint.name}")`',
            ", ".join(
                f"**`{param.argument}`**" if param.required else f"`{param.argument}`"
                for param in endpoint.params
            ),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| Argument | In the API | What it means | Allowed |", "|---|---|---|---|"]
    return lines + _arguments(endpoints)


def _arguments(endpoints: Iterable[Endpoint]) -> list[str]:
    """Make a row for each argument; where endpoints differ in what they take, one for each kind, with their names."""
    users: dict[Param, list[str]] = {}
    for endpoint in endpoints:
        for param in endpoint.params:
            users.setdefault(replace(param, required=False), []).append(endpoint.name)
    kinds = Counter(param.argument for param in users)
    lines = []
    for param, names in sorted(users.items(), key=lambda item: item[0].argument):
        of = f" of {', '.join(f'`{name}`' for name in names)}" if kinds[param.argument] > 1 else ""
        shown = f"`{param.name}`" if param.name else "each by its own name"
        lines.append(f"| `{param.argument}`{of} | {shown} | {param.summary} | {param.allowed} |")
    return lines


if __name__ == "__main__":
    main()
