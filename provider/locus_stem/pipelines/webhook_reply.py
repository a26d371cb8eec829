"""What a webhook's answer to a post means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Reply", "Verdict"]


class Verdict(Enum):
    """What an answer, or none, means for a delivery."""

    TAKEN = "taken"
    REFUSED = "this alert is refused"
    FAILED = "the webhook failed on this alert"
    UNAVAILABLE = "it may work later"
    WRONG = "nothing will be taken before somebody changes the connection"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one post; the reason holds no secret."""

    verdict: Verdict
    reason: str = ""

    @classmethod
    def of_status(cls, status: int) -> Reply:
        """Read an HTTP status."""
        reason = f"HTTP {status}"
        if 200 <= status < 300 or status == 409:  # a conflict: it has this key already
            return cls(Verdict.TAKEN, reason)
        if status in {408, 425, 429, 502, 503, 504}:
            return cls(Verdict.UNAVAILABLE, reason)
        if status >= 500:
            return cls(Verdict.FAILED, reason)
        if 300 <= status < 400:
            return cls(Verdict.WRONG, f"{reason}, a redirect, which is not followed")
        if status in {401, 403, 404, 405, 407, 410}:
            return cls(Verdict.WRONG, reason)
        return cls(Verdict.REFUSED, reason)
