"""What a look that failed means: look later, or give up. One judgement for every mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from locus_stem.api.errors import LocusStemError, RateLimitedError, RetriableError

DEFAULT_ERRORS_FOR = timedelta(minutes=30)
#: A longer wait than this isn't believed.
LONGEST_WAIT = timedelta(hours=24)


class GivenUpError(LocusStemError):
    """The looks have failed in a row for longer than is allowed."""


@dataclass(frozen=True, slots=True)
class Later:
    """A look has failed and another may work.

    :param failing_since: when the looks that failed in a row began; None: nothing fails, it is only too early.
    :param wait: seconds that the API asks to wait.
    """

    failing_since: datetime | None
    wait: float


def judged(
    error: LocusStemError, *, failing_since: datetime | None, now: datetime, errors_for: timedelta
) -> Later:
    """Judge a look that failed.

    A 429 only says that something else uses the account: it neither is an error nor lets a row of them go on.

    :param failing_since: when the looks before it that failed in a row began, None where the last one didn't fail.
    :raises LocusStemError: it is final: `error` itself, or GivenUpError.
    """
    if not isinstance(error, RetriableError):
        raise error
    wait = min(error.retry_after or 0.0, LONGEST_WAIT.total_seconds())
    if isinstance(error, RateLimitedError):
        return Later(None, wait)
    began = failing_since or now
    if now - began >= errors_for:
        minutes = (now - began) / timedelta(minutes=1)
        raise GivenUpError(
            f"{error}. Every look has failed for {minutes:.0f} min (since {began:%Y-%m-%d %H:%M:%SZ}); errors_for "
            f"allows {errors_for / timedelta(minutes=1):g} min: clear the task when that is mended, or allow longer"
        ) from error
    return Later(began, wait)
