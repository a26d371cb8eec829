"""Which of a storage's settings are keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Prefixes of the environment's variables that deltalake and pyarrow read.
CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCP_")
#: Names of options and variables whose values are keys; a file or address that a key comes from is none.
_KEY = re.compile(r"(SECRET|TOKEN|PASSWORD|KEY|SAS)(?!.*(_FILE|_PATH|_URI|_URL|_ID)$)", re.IGNORECASE)


def storage_secrets(options: Mapping[str, str] | None, environment: Mapping[str, str]) -> Iterator[str]:
    """Give what no log and no error may hold of deltalake's storage options and of the environment."""
    for name, value in (options or {}).items():
        if _KEY.search(name):
            yield str(value)
    for name, value in environment.items():
        if name.startswith(CLOUDS) and _KEY.search(name):
            yield value
