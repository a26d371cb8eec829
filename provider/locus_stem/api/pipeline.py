"""Many calls, one request in flight: answers are read on the caller's thread while the next request is out.

From an answer's last byte to the next request the API idles. So the sending thread does nothing in between
but send: an answer is handed over only once the next request is out; reading it would take the interpreter
from the sending thread.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from locus_stem.api.errors import (
    ApiError,
    RateLimitedError,
    RefusedError,
    RetriableError,
)
from locus_stem.api.retry import LONGEST_WAIT
from locus_stem.api.session import Link, StoppedError
from locus_stem.api.wire import RawAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from locus_stem.api.answer import Answer
    from locus_stem.api.endpoint import Call
    from locus_stem.api.flow import Exchange

#: Answers that wait to be read, at most; one more is held back until the next request is out.
AHEAD = 2
#: Bytes of such answers from which on no further request is sent before they are read.
AHEAD_BYTES = 16 * 2**20


#: What came of sending a call: an answer to be read, or why there is none.
Received = RawAnswer | RefusedError | RetriableError


class Sender(Protocol):
    """What a pipeline sends with: a synchronous client."""

    def begin(self, call: Call, patience: float | None = None) -> Exchange:
        """Set a call on its way; `patience` is in seconds, where it is less than the sender's own budget."""

    def receive(self, exchange: Exchange, link: Link) -> RawAnswer:
        """Send it until there is an answer to read."""

    def pause(self, seconds: float, link: Link) -> None:
        """Wait, unless the link is stopped."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call: an answer, or the refusal of this call alone.

    Where calls are set aside the error can also be a RetriableError: no usable answer came in time.
    """

    call: Call
    answer: Answer | None
    error: RefusedError | RetriableError | None


def answers(client: Sender, calls: Iterable[Call]) -> Iterator[Outcome]:
    """Send calls one after another and give what became of each, mostly in their order.

    :param calls: taken one by one, on the sending thread, when the next request can go out. It must not wait
        for outcomes; calls that follow from one go into a :class:`Pipeline`, or into a later run.
    :raises FatalError: nothing more will work; the answers before it were given.
    :raises RetriableError: a call still fails at its budget's end; the answers before it were given.
    """
    with Pipeline(client, calls) as pipeline:
        yield from pipeline


class Pipeline:
    """Like :func:`answers`, and takes calls that follow from outcomes.

    :param set_aside: seconds after which a call that fails, but may work, is an outcome, so that the others are asked
        meanwhile; a wait that the API asks for is sat out before. None: it is tried for the whole budget, and then is
        an error. A 429, or a longer wait than :data:`~locus_stem.api.retry.LONGEST_WAIT` that the API asks for, is of
        all calls: tried for the whole budget and always an error. So is all else that is about more than this call.

    A context manager: at its end the sending thread has ended and no request is in flight. A wait ends at
    once, a request that is out is waited for: the API counts it until it is answered.
    """

    def __init__(self, client: Sender, calls: Iterable[Call] = (), *, set_aside: float | None = None) -> None:
        self._client = client
        self._set_aside = set_aside
        self._calls = iter(calls)
        self._first: deque[Exchange] = deque()
        self._last: deque[Exchange] = deque()
        self._held: tuple[Exchange, Received] | None = None
        self._ready: deque[tuple[Exchange, Received]] = deque()
        self._open = 0
        self._exhausted = False
        self._failure: BaseException | None = None
        self._sending: Exchange | None = None
        self._owed = 0.0
        self._changed = threading.Condition()
        self._link = Link(idle=self._hand_over)
        self._thread = threading.Thread(target=self._send_all, name="locus-stem-api", daemon=True)
        self._started = False

    def put(self, call: Call, *, front: bool = False) -> None:
        """Add a call, before all others or after them."""
        with self._changed:
            self._open += 1
            if front:
                self._first.appendleft(self._client.begin(call, self._set_aside))
            else:
                self._last.append(self._client.begin(call, self._set_aside))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def wait_left(self) -> float:
        """Seconds that were left of a wait before the next try when the pipeline was closed."""
        return self._link.wait_left

    @property
    def cut_off(self) -> tuple[Call, ApiError] | None:
        """The call that was to be sent again when the pipeline was closed, and why; None where there is none."""
        last = self._sending
        return (last.call, last.last_error) if last is not None and last.last_error is not None else None

    def close(self) -> None:
        """Send nothing more and wait for the request that is out, if any; its answer is still given.

        Can be called from any thread.
        """
        with self._changed:
            self._link.stop.set()
            self._changed.notify_all()
        if self._started:
            self._thread.join()

    def __iter__(self) -> Iterator[Outcome]:
        if not self._started:
            self._started = True
            self._thread.start()
        while (item := self._next()) is not None:
            exchange, received = item
            outcome = self._read(exchange, received)
            if outcome is not None:
                with self._changed:
                    self._open -= 1
                yield outcome

    # On the caller's thread.

    def _next(self) -> tuple[Exchange, Received] | None:
        with self._changed:
            self._changed.wait_for(self._has_news)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        self.close()
        if self._ready:  # what the sending thread had when it was stopped
            return self._ready.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    def _has_news(self) -> bool:
        ended = self._failure is not None or self._link.stop.is_set() or (self._exhausted and not self._open)
        return bool(self._ready) or ended

    def _read(self, exchange: Exchange, received: Received) -> Outcome | None:
        """Read an answer; None where its call is to be sent again."""
        try:
            if isinstance(received, RefusedError | RetriableError):
                return Outcome(exchange.call, None, received)
            return Outcome(exchange.call, exchange.read(received), None)
        except ApiError as error:
            return self._set_back(exchange, error)

    def _set_back(self, exchange: Exchange, error: ApiError) -> Outcome | None:
        try:
            exchange.setback(error)
        except (RefusedError, RetriableError) as last:
            if self._is_of_this_call(last):
                with self._changed:
                    self._owed = max(self._owed, _named_wait(last))
                return Outcome(exchange.call, None, last)
            self.close()
            raise
        except ApiError:
            self.close()
            raise
        with self._changed:
            self._first.appendleft(exchange)
            self._changed.notify_all()
        return None

    def _is_of_this_call(self, error: RefusedError | RetriableError) -> bool:
        return isinstance(error, RefusedError) or (self._set_aside is not None and not is_of_all(error))

    # On the sending thread.

    def _send_all(self) -> None:
        try:
            while (exchange := self._take()) is not None:
                self._sending = exchange
                received: Received
                try:
                    received = self._client.receive(exchange, self._link)
                except (RefusedError, RetriableError) as error:
                    if not self._is_of_this_call(error):
                        raise
                    self._sit_out(_named_wait(error))
                    received = error
                self._hand_over()
                self._held = exchange, received
            self._hand_over()
        except StoppedError:
            self._hand_over()
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            self._hand_over()
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _sit_out(self, seconds: float) -> None:
        if seconds:
            self._client.pause(seconds, self._link)
            if self._link.stop.is_set():
                raise StoppedError

    def _take(self) -> Exchange | None:
        """Give the next exchange, waiting for one if need be; None at the end."""
        while True:
            if self._link.stop.is_set():
                return None
            with self._changed:
                owed, self._owed = self._owed, 0.0
            self._sit_out(owed)
            exchange = self._at_once()
            if exchange is not None:
                return exchange
            self._hand_over()
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._link.stop.is_set()
                        or (self._room() and (self._first or self._last or not self._exhausted))
                    )
                )

    def _at_once(self) -> Exchange | None:
        with self._changed:
            if not self._room():
                return None
            if self._first:
                return self._first.popleft()
        if not self._exhausted:
            call = next(self._calls, None)
            with self._changed:
                if call is not None:
                    self._open += 1
                    return self._client.begin(call, self._set_aside)
                self._exhausted = True
                self._changed.notify_all()
        with self._changed:
            return self._last.popleft() if self._last else None

    def _room(self) -> bool:
        waiting = [received for _, received in (*self._ready, *([self._held] if self._held else ()))]
        length = sum(len(received.body) for received in waiting if not isinstance(received, ApiError))
        return len(self._ready) < AHEAD and length < AHEAD_BYTES

    def _hand_over(self) -> None:
        if self._held is not None:
            with self._changed:
                self._ready.append(self._held)
                self._held = None
                self._changed.notify_all()


def is_of_all(error: RetriableError) -> bool:
    """Tell whether a failure is of all calls: a 429, or a wait that is too long to be sat out."""
    return isinstance(error, RateLimitedError) or _named_wait(error) > LONGEST_WAIT


def _named_wait(error: RefusedError | RetriableError) -> float:
    """Give the seconds that the API asks to wait before anything is sent."""
    return (error.retry_after or 0.0) if isinstance(error, RetriableError) else 0.0


__all__ = ["Outcome", "Pipeline", "Sender", "answers", "is_of_all"]
