"""The directive `.. fact:: NAME ARGUMENT`: a table or text that is made from the package when the pages are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facts import FACTS
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx


class Fact(SphinxDirective):
    """Put what a function of `facts` gives into the page."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[Node]:
        """Make the nodes."""
        name, *arguments = self.arguments
        if name not in FACTS:
            raise self.error(f"fact: {name!r} is unknown; there are: {', '.join(FACTS)}")
        return self.parse_text_to_nodes(FACTS[name](*arguments), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("fact", Fact)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
