"""What was served: a record of each request, and the figures made from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Served:
    """One request. Times are monotonic seconds; ``finished`` is when the last byte had left, None until then.

    ``in_flight`` counts the account's requests at its arrival, itself included. ``query`` holds no secret.
    ``status`` stays None where no status was sent at all.
    """

    api: str
    method: str
    path: str
    query: str
    arrived: float
    in_flight: int = 0
    finished: float | None = None
    status: int | None = None
    fault: str | None = None
    bytes_sent: int = 0


class Ledger:
    """All requests since the start or the last reset."""

    def __init__(self) -> None:
        self.served: list[Served] = []

    def reset(self) -> None:
        """Forget them."""
        self.served = []

    def to_json(self) -> list[dict[str, Any]]:
        """Return the records."""
        return [asdict(served) for served in list(self.served)]

    def stats(self) -> dict[str, Any]:
        """Return counts, and how much of the time some request was between arrival and last byte.

        ``span_seconds`` goes from the first arrival to the last byte of all; ``busy_share`` is busy / span.
        """
        served = list(self.served)
        ended = sorted((one.arrived, one.finished) for one in served if one.finished is not None)
        busy = 0.0
        until = float("-inf")
        for arrived, finished in ended:
            busy += max(0.0, finished - max(arrived, until))
            until = max(until, finished)
        span = until - ended[0][0] if ended else 0.0
        apis = sorted({one.api for one in served})
        return {
            "requests": len(served),
            "by_api": dict(Counter(one.api for one in served)),
            "by_status": dict(Counter(str(one.status) for one in served if one.status)),
            "by_fault": dict(Counter(one.fault for one in served if one.fault)),
            "data_requests": sum(one.path.endswith(("/data", "/streams")) for one in served),
            "max_in_flight": {api: max(one.in_flight for one in served if one.api == api) for api in apis},
            "bytes_sent": sum(one.bytes_sent for one in served),
            "busy_seconds": round(busy, 6),
            "span_seconds": round(span, 6),
            "busy_share": round(busy / span, 6) if span else 0.0,
        }
