"""Keys and values that no reference names, as a later version of the APIs may add them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locus_stem.sandbox.reply import Reply

#: Values that stand in place of the references' own, by key and value.
VALUES: Mapping[tuple[str, str], str] = {
    ("nodeType", "INVERTER"): "HYBRID_INVERTER",
    ("generationType", "SOLAR"): "AGRIVOLTAIC",
    ("alertType", "Performance Index"): "Soiling Forecast",
    ("priority", "Low"): "Informational",
}
#: A base field whose source and granularity no reference names; it isn't measured, so nobody is to ask for it.
BASE_FIELD = {
    "baseField": "Wf",
    "longName": "AC Power Forecast",
    "source": "Forecast",
    "unit": "W",
    "granularities": ["10min", "hourly"],
    "aggregations": [{"shortName": "Wf_p95", "aggregation": "p95"}],
}
#: What a row of data holds beside the fields that were asked for.
OF_A_ROW = {"Unasked_avg": 1.5, "quality": {"flags": ["estimated"]}}
#: A stream that nobody asked for.
STREAM = {
    "stream_type": "FORECAST",
    "streams": [
        {
            "start_datetime": "2025-01-01T00:00:01+00:00",
            "end_datetime": "2025-01-01T00:15:00+00:00",
            "kw_total_avg": 1,
        }
    ],
}


def extended(found: dict[str, Any], number: int) -> dict[str, Any]:
    """Return an object with further keys of every kind, and with other values in some of its own."""
    return {name: VALUES.get((name, value), value) if isinstance(value, str) else value
            for name, value in found.items()} | {
        "futureText": f"später {number % 100}",
        "futureNumber": number % 10 + 0.5,
        "futureFlag": number % 2 == 0,
        "futureObject": {"unit": "kW", "steps": [1, number % 3]},
    }  # fmt: skip


def extended_answer(reply: Reply) -> Reply:
    """Return an answer with further keys beside what was asked for, in rows of data too."""
    body = json.loads(reply.body)
    for name, rows in body.items():
        if name == "data":
            body[name] = [{**row, **OF_A_ROW} for row in rows]
        if name == "stream_types":
            body[name] = [*rows, STREAM]
    body["futureKey"] = {"revision": 4}
    return replace(reply, body=json.dumps(body, ensure_ascii=False).encode())
