"""What of an Azure SAS token must not be seen: engines write its parts in another order, so not the whole alone."""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["signatures"]

_SIGNATURE = re.compile("(?:^|[?&])sig=([^&]+)")


def signatures(token: str) -> tuple[str, ...]:
    """Give a token's signature as it stands there and decoded; none of what is no such token."""
    found = _SIGNATURE.search(token)
    return (found[1], unquote(found[1])) if found else ()
