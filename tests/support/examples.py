"""How many examples a property is tried on: few and always the same, or EXAMPLES times as many, each time others."""

from __future__ import annotations

import os

#: What a test that tries examples records, so that it is counted as a property.
PROPERTY = "property"
TIMES = int(os.environ.get("EXAMPLES", "1"))


def examples(number: int) -> int:
    """Give the number of examples for what is given as that of the suite."""
    return number * TIMES
