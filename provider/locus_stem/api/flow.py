"""One flow for every call: authorize, send, judge, wait, send again. Without IO: it serves sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locus_stem.api.errors import ApiError, RetriableError
from locus_stem.api.retry import GRACE
from locus_stem.api.wire import Flow, RawAnswer, Request, Send, Wait, given_up

if TYPE_CHECKING:
    from locus_stem.api.answer import Answer, Reader
    from locus_stem.api.auth import Auth
    from locus_stem.api.endpoint import Call
    from locus_stem.api.metrics import Metrics
    from locus_stem.api.retry import Retries


class Exchange:
    """One call on its way to its answer, with what is left of its budget.

    Sending and reading can be apart, on two threads: :meth:`received`, then :meth:`read`; where reading
    fails, :meth:`setback` tells whether :meth:`received` is to be run again.
    """

    def __init__(self, call: Call, auth: Auth, reader: Reader, retries: Retries, metrics: Metrics) -> None:
        self.call = call
        self._auth = auth
        self._reader = reader
        self._retries = retries
        self._metrics = metrics
        self._path = call.path
        self._target = call.target
        self._authorization = ""
        self._rejections = 0
        self._wait = 0.0
        self._last_error: ApiError | None = None

    @property
    def last_error(self) -> ApiError | None:
        """Why the call, or the one for its token, is to be sent again; None where neither is."""
        return self._last_error or self._retries.last_error

    def answered(self) -> Flow[Answer]:
        """Go on until the call is answered and the answer read.

        :raises ApiError: refused, or still failing at the budget's end.
        """
        while True:
            raw = yield from self.received()
            try:
                return self.read(raw)
            except ApiError as error:
                self.setback(error)

    def received(self) -> Flow[RawAnswer]:
        """Go on until there is an answer with a status of success; its body is not read."""
        self._retries.begin()
        while True:
            if self._wait:
                yield Wait(self._wait)
            self._authorization = yield from self._auth.authorization(self._retries)
            sent = yield Send(self._request())
            error = self._reader.error(sent, self._path, self.call.endpoint.read_refusal)
            if error is None:
                self._last_error = self._retries.last_error = None  # they are made good
                return sent  # type: ignore[no-any-return]
            self.setback(error, given_up=given_up(sent))

    def _request(self) -> Request:
        headers = {"Authorization": self._authorization}
        limit = self._reader.limit(self.call.bound)
        return Request(self.call.endpoint.method, self._target, headers, limit=limit)

    def read(self, raw: RawAnswer) -> Answer:
        """Read an answer's body.

        :raises ApiError: hand it to :meth:`setback`.
        """
        return self._reader.answer(raw, self.call)

    def setback(self, error: ApiError, *, given_up: bool = False) -> None:
        """Take an error as a reason to send the call again.

        :param given_up: the API may still be working at it.
        :raises ApiError: it is none, or the budget is spent.
        """
        self._last_error = error
        self._rejections = self._rejections + 1 if error.status == 401 else 0
        if self._rejections:
            error = self._auth.rejected(self._authorization, error, self._rejections)
        if not isinstance(error, RetriableError):
            raise error
        # the first 401 only says that the token has ended; another one to a fresh token is a failure
        if self._rejections == 1:
            self._wait = GRACE if given_up else 0.0
        else:
            self._wait = self._retries.wait_after(error, given_up=given_up)
        self._metrics.retried()
