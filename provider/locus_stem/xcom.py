"""How much goes through XCom, or with a trigger's event: both stand in Airflow's database."""

from __future__ import annotations

import json
from typing import Any

#: Most that a task gives on, in bytes of JSON, unless its `max_xcom_bytes` says otherwise: it is read with each page.
MAX_XCOM_BYTES = 48 * 1024


def json_bytes(value: Any) -> int:
    """Give the bytes that a value takes as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))
