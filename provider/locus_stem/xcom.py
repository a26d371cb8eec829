"""How much goes through XCom, or with a trigger's event: both stand in Airflow's database."""

from __future__ import annotations

import json
import math
from typing import Any

#: Most that a task gives on, in bytes of JSON, unless its `max_xcom_bytes` says otherwise: it is read with each page.
MAX_XCOM_BYTES = 48 * 1024


#: Whole numbers that Airflow's processes can tell each other.
WHOLE = range(-(2**63), 2**64)


def storable(value: Any) -> Any:
    """Give a JSON value as every part of Airflow can take it: an answer may hold what ends a triggerer.

    Half a surrogate pair becomes �, a whole number of more than 64 bits a float, and what no float is, None.
    """
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, dict):
        return {storable(key): storable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [storable(one) for one in value]
    if isinstance(value, int) and value not in WHOLE:
        try:
            return float(value)
        except OverflowError:
            return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_bytes(value: Any) -> int:
    """Give the bytes that a value takes as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))
