"""The directive `.. results:: NAME`: the results of a suite, from the file that it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from results import FOLDER, results
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx


class Results(SphinxDirective):
    """Put the results of a suite into the page; without a good file the build fails."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Make the nodes."""
        (name,) = self.arguments
        self.env.note_dependency(FOLDER / f"{name}.json")
        try:
            return self.parse_text_to_nodes(results(name))
        except ValueError as error:
            raise self.error(f"results: {error}") from error


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
