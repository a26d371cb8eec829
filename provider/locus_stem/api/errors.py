"""What can go wrong at a vendor's API, ordered by what can be done about it.

LocusStemError
├── ConfigurationError              a connection's field is missing or wrong: nothing was sent
└── ApiError                        .path .status .tried
    ├── FatalError                  the whole run stops, trying again can't help
    │   ├── AuthenticationError     the token endpoint, or the API given a fixed key, refused the credentials
    │   └── RedirectedError         the host answers with a redirect: it is not the API
    ├── RefusedError                this call alone is refused: skip it
    │   ├── PermissionDeniedError   403
    │   ├── NotFoundError           404
    │   ├── BadRequestError         400 and other 4xx
    │   ├── StemNoResults           Stem, 400 or 404: a page after the last one
    │   ├── StemNoData              Stem, 400: nothing stands in this range
    │   └── StemStreamUnavailable   Stem, 400: the site doesn't have this stream type
    └── RetriableError              later it may work; .retry_after
        ├── RateLimitedError        429
        ├── ServerError             5xx
        ├── TransportError          reset, hang, cut-off, no connection, 408
        ├── MalformedAnswerError    empty, garbled or another shape than the reference's
        │   └── OversizedAnswerError  longer than the client's limit
        │       └── ExcessiveAnswerError  longer than the answer to what was asked for can be
        └── TokenRejectedError      401 to tokens that the token endpoint has just given
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime


class LocusStemError(Exception):
    """Base of all errors of this package's API layer."""


class ConfigurationError(LocusStemError):
    """A field of a connection is missing or wrong; the message names connection and field."""


class ApiError(LocusStemError):
    """An API call failed.

    :param problem: what happened, without secrets.
    :param path: path of the request, without host and query.
    :param status: HTTP status or `statusCode` of the answer, None where there was no answer.
    """

    #: What the reader can do about it.
    advice: ClassVar[str] = ""

    def __init__(self, problem: str, *, path: str = "", status: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.status = status
        #: How often and how long the request was tried, empty where it was sent once.
        self.tried = ""
        #: The answer's Date header, None where there is none.
        self.server_date: datetime | None = None

    def __str__(self) -> str:
        tried = f" ({self.tried})" if self.tried else ""
        return f"{self.path}: {self.problem}{tried}. {self.advice}".rstrip()


class FatalError(ApiError):
    """Nothing that is sent with this connection will work before somebody changes it."""


class AuthenticationError(FatalError):
    """The credentials are refused."""


class RedirectedError(FatalError):
    """The host answers with a redirect, which is not followed: it would carry the credentials elsewhere."""

    advice = "Set the connection's host to the API's own address"


class RefusedError(ApiError):
    """The API refuses this call; others may work."""


class PermissionDeniedError(RefusedError):
    """403: the account has no permission for this entity."""

    advice = "Check the id, or ask the vendor to let this account read it"


class NotFoundError(RefusedError):
    """404: there is no such entity, at least not now."""

    advice = "Check the id and that the entity still exists"


class BadRequestError(RefusedError):
    """400 or another 4xx: the API does not take this request."""

    advice = (
        "Check the fields, times and granularity that were asked for against what the entity has available"
    )


class StemNoResults(RefusedError):  # noqa: N818 - says what the answer is: nothing went wrong
    """Stem has no results for this page: the page before it was the last."""


class StemNoData(RefusedError):  # noqa: N818 - says what the answer is: nothing went wrong
    """Stem holds no data for this range."""


class StemStreamUnavailable(RefusedError):  # noqa: N818 - says what the answer is: nothing went wrong
    """The site doesn't have a stream type that was asked for."""

    @property
    def stream_type(self) -> str | None:
        """The stream type that the site doesn't have, None where the message doesn't name it."""
        named = re.search(r"stream type\W+([A-Z_]+)\b", self.problem)
        return named[1] if named else None


class RetriableError(ApiError):
    """The same request may work later.

    :param retry_after: seconds after which the API says that it will, None where it doesn't say.
    """

    advice = "Run the task again later"

    def __init__(
        self, problem: str, *, path: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(problem, path=path, status=status)
        self.retry_after = retry_after

    def __str__(self) -> str:
        if self.retry_after is None:
            return super().__str__()
        return f"{super().__str__()}; the API asks to wait {self.retry_after:.0f} s"


class RateLimitedError(RetriableError):
    """429: more requests at a time than the account may send."""

    advice = (
        "Run it again later; if it stays so, something else uses this account: "
        "every program that does needs the same pool, no larger than the account's limit"
    )


class ServerError(RetriableError):
    """5xx: the API failed."""

    advice = "Run it again later; if it stays so, send the vendor's support this path and time"


class TransportError(RetriableError):
    """The connection failed or no whole answer came in time."""

    advice = "Check the connection's host and timeout and the network, then run it again"


class MalformedAnswerError(RetriableError):
    """An answer came that can't be read as the reference describes it."""

    advice = "Run it again later; if it stays so, check that the connection's host is the API's own address"


class OversizedAnswerError(MalformedAnswerError):
    """An answer is longer than the client's limit; it is not asked for again."""

    advice = "Ask for less at a time: a shorter range or fewer fields"


class ExcessiveAnswerError(OversizedAnswerError):
    """An answer holds more than what was asked for can have; it is not asked for again."""

    advice = "It is no answer to this request: send the vendor's support this path and time"


class TokenRejectedError(RetriableError):
    """401 to tokens that were just issued, again and again."""

    advice = "The token endpoint gives tokens that the API refuses: run it again later, else tell the vendor"
