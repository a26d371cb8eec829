"""What a route gives back, and how an answer is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too many requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, before compression."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        """Answer with JSON."""
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        return cls(status, text.encode(), headers or {})


class Refusal(Exception):  # noqa: N818  # named after what the API does
    """The API refuses a request; the server writes it in the API's own shape."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message or REASONS[status])
        self.status = status
        self.message = message or REASONS[status]


def locus_error(status: int, message: str | None = None, headers: dict[str, str] | None = None) -> Reply:
    """Write an error in the shape of overview/rate-limiting."""
    return Reply.of({"message": message or REASONS[status], "statusCode": status}, status, headers)


def stem_error(status: int, message: str | None = None, headers: dict[str, str] | None = None) -> Reply:
    """Write an error in the shape of Stem's Error Payload."""
    return Reply.of({"errors": [{"message": message or REASONS[status], "code": status}]}, status, headers)
