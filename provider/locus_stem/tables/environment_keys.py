"""Which of the environment's settings of object stores are keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from locus_stem.tables.sas import signatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Prefixes of the variables that the stores' engines read.
CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCP_")
#: Variables whose values are keys; a file or address that a key comes from is none.
_KEY = re.compile(r"(SECRET|TOKEN|PASSWORD|KEY|SAS)(?!.*(_FILE|_PATH|_URI|_URL|_ID)$)", re.IGNORECASE)


def environment_keys(environment: Mapping[str, str]) -> Iterator[str]:
    """Give what no log and no error may hold of the environment."""
    for name, value in environment.items():
        if name.startswith(CLOUDS) and _KEY.search(name):
            yield value
            yield from signatures(value)
