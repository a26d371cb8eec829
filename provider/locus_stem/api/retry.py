"""How long the same request is tried again: full-jitter backoff within a budget of time, not of tries."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from locus_stem.api.errors import OversizedAnswerError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from locus_stem.api.errors import RetriableError

#: Seconds from a request's first sending after which it isn't sent again.
BUDGET_SECONDS = 300.0
#: Seconds that are never waited in one piece: a task would hold its slot for nothing.
LONGEST_WAIT = 120.0
#: Bounds in seconds of the first and of any backoff. Who has one request in flight loses all the time that it waits: a
#: fault that is over at once is to cost about as much as the answer that it spoilt. While one stays these are two tries
#: more in the whole budget than with a first bound of half a second.
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 30.0
#: Seconds at least before a request is sent again that was given up on: until the API has noticed, the same again would
#: be a second one in flight, and refused.
GRACE = 0.15


#: Shorter waits aren't worth a line in the log.
TOLD_FROM = 2.0

log = logging.getLogger(__name__)


class Retries:
    """The tries of one request, requests for tokens on its behalf included.

    :param budget: seconds within which a new try may begin; they run from the first :meth:`begin`.
    :param patience: seconds, where they are less, for failures other than a 429, which is of all requests.
    :param clock: monotonic, in seconds.
    :param jitter: random number between two bounds.
    """

    def __init__(
        self,
        budget: float,
        clock: Callable[[], float],
        jitter: Callable[[float, float], float] = random.uniform,  # noqa: S311 - not a secret
        patience: float | None = None,
    ) -> None:
        self._budget = budget
        self._patience = budget if patience is None else min(budget, patience)
        self._clock = clock
        self._jitter = jitter
        self._began: float | None = None
        self._failures = 0
        #: The last failure, None before the first.
        self.last_error: RetriableError | None = None

    def begin(self) -> None:
        """Let the budget run, unless it runs already."""
        if self._began is None:
            self._began = self._clock()

    def wait_after(self, error: RetriableError, *, given_up: bool = False) -> float:
        """Give the seconds to wait before the request is sent again.

        :param given_up: the API may still be working at it.
        :raises RetriableError: `error` itself, where the budget doesn't allow another try or the API asks to
            wait longer than :data:`LONGEST_WAIT`.
        """
        self.begin()
        self.last_error = error
        self._failures += 1
        spent = self._clock() - (self._began or 0.0)
        asked = error.retry_after or 0.0
        bound = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(self._failures - 1, 10))
        wait = max(asked, GRACE if given_up else 0.0, self._jitter(0.0, bound))
        limit = self._budget if isinstance(error, RateLimitedError) else self._patience
        if isinstance(error, OversizedAnswerError) or asked > LONGEST_WAIT or wait >= limit - spent:
            if self._failures > 1:
                error.tried = f"failed {self._failures} times in {spent:.0f} s"
            raise error
        if wait >= TOLD_FROM:
            log.info("%s: %s (try %d); again in %.0f s", error.path, error.problem, self._failures, wait)
        return wait
