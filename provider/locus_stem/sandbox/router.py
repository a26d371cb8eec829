"""Finding the endpoint of a path, from the descriptions that the clients go by too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locus_stem.api.endpoint import Endpoint


class Router:
    """Matches still percent-encoded paths, so that an encoded slash stays within its segment."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._patterns = [
            (re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(endpoint.path))), endpoint)
            for endpoint in endpoints
        ]

    def find(self, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return the endpoint and the decoded parts of the path."""
        for pattern, endpoint in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return endpoint, {name: unquote(text) for name, text in match.groupdict().items()}
        return None
