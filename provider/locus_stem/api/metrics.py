"""Counts of everything that a client has sent."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """What was sent, requests for tokens included; safe to use from several threads.

    :param by_status: requests by HTTP status, or by what happened instead: ``timeout``, ``reset``, ….
    :param retries: requests that were sent again.
    :param api_seconds: sum over all requests of the time from sending to the answer's last byte.
    """

    requests: int = 0
    by_status: Counter[int | str] = field(default_factory=Counter)
    retries: int = 0
    api_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def sent(self, status: int | str, seconds: float) -> None:
        """Count a request that has ended."""
        with self._lock:
            self.requests += 1
            self.by_status[status] += 1
            self.api_seconds += seconds

    def retried(self) -> None:
        """Count a request that will be sent again."""
        with self._lock:
            self.retries += 1

    def snapshot(self) -> Metrics:
        """Give the counts as they are now."""
        with self._lock:
            return Metrics(self.requests, Counter(self.by_status), self.retries, self.api_seconds)

    def take(self) -> Metrics:
        """Give the counts and begin anew, in one step."""
        with self._lock:
            taken = Metrics(self.requests, self.by_status, self.retries, self.api_seconds)
            self.requests, self.by_status, self.retries, self.api_seconds = 0, Counter(), 0, 0.0
            return taken

    def __sub__(self, earlier: Metrics) -> Metrics:
        """Give what was counted since an earlier snapshot."""
        return Metrics(
            self.requests - earlier.requests,
            self.by_status - earlier.by_status,
            self.retries - earlier.retries,
            self.api_seconds - earlier.api_seconds,
        )
