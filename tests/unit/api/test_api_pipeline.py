from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from locus_stem.api import (
    AuthenticationError,
    BadRequestError,
    Call,
    LocusClient,
    LocusCredentials,
    LocusEndpoints,
    NotFoundError,
    OversizedAnswerError,
    Pipeline,
    RateLimitedError,
    ServerError,
    answers,
)
from locus_stem.api.retry import GRACE

BEARER = LocusCredentials(grant_type="bearer", password="x")
Serve = Callable[[int], httpx.Response]


def site(number: int) -> Call:
    return LocusEndpoints.get_site.request(site_id=number)


def good(number: int) -> httpx.Response:
    return httpx.Response(200, json={"statusCode": 200, "id": number})


class Api:
    """Answers by site id; notes what it was asked, by which thread, and how many at a time."""

    def __init__(self, serve: Serve = good, seconds: float = 0.0) -> None:
        self.serve, self.seconds = serve, seconds
        self.asked: list[int] = []
        self.threads: set[str] = set()
        self.in_flight = self.most_in_flight = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        self.threads.add(threading.current_thread().name)
        number = int(request.url.path.rpartition("/")[2])
        self.asked.append(number)
        try:
            time.sleep(self.seconds)
            return self.serve(number)
        finally:
            self.in_flight -= 1

    def client(self, credentials: LocusCredentials = BEARER, **options: Any) -> LocusClient:
        return LocusClient(credentials, transport=httpx.MockTransport(self), **options)


def api_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "locus-stem-api"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert api_threads() == []


def faults(*responses: httpx.Response) -> Serve:
    left = list(responses)
    return lambda number: left.pop(0) if left else good(number)


def test_every_call_is_answered_in_order_with_one_request_in_flight() -> None:
    api = Api()
    got = list(answers(api.client(), (site(number) for number in range(1, 51))))
    assert [outcome.answer.payload["id"] for outcome in got if outcome.answer] == list(range(1, 51))
    assert [outcome.call for outcome in got] == [site(number) for number in range(1, 51)]
    assert api.most_in_flight == 1
    assert api.threads == {"locus-stem-api"}


def test_no_calls_are_no_outcomes_and_no_request() -> None:
    api = Api()
    assert list(answers(api.client(), [])) == []
    assert api.asked == []


def test_the_next_request_is_out_while_the_caller_works() -> None:
    api = Api(seconds=0.1)
    began = time.monotonic()
    for _ in answers(api.client(), map(site, range(1, 11))):
        time.sleep(0.08)
    assert time.monotonic() - began < 10 * (0.1 + 0.08) - 0.3  # one after the other it would take 1.8 s


def test_a_slow_caller_is_not_run_away_from() -> None:
    api = Api()
    outcomes = answers(api.client(), map(site, range(1, 100)))
    next(outcomes)
    time.sleep(0.1)
    asked = len(api.asked)
    outcomes.close()  # type: ignore[attr-defined]
    assert asked <= 5


def test_calls_are_taken_one_at_a_time() -> None:
    taken: list[int] = []

    def calls() -> Iterator[Call]:
        for number in range(1, 100):
            taken.append(number)
            yield site(number)

    outcomes = answers(Api().client(), calls())
    next(outcomes)
    time.sleep(0.05)
    outcomes.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5


def test_a_refusal_is_an_outcome_and_the_next_call_goes_on() -> None:
    def serve(number: int) -> httpx.Response:
        if number == 2:
            return httpx.Response(404, json={"message": "gone"})
        return (
            httpx.Response(200, json={"statusCode": 400, "message": "bad"}) if number == 3 else good(number)
        )

    got = list(answers(Api(serve).client(), map(site, range(1, 5))))
    assert [type(outcome.error) for outcome in got] == [
        type(None),
        NotFoundError,
        BadRequestError,
        type(None),
    ]
    assert [outcome.answer is None for outcome in got] == [False, True, True, False]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"statusCode": 429}'])
def test_an_answer_that_cannot_be_read_is_asked_for_again_before_the_next_call(body: bytes) -> None:
    api = Api(faults(httpx.Response(200, content=body)))
    got = list(answers(api.client(), map(site, range(1, 6))))
    assert sorted(outcome.answer.payload["id"] for outcome in got if outcome.answer) == [1, 2, 3, 4, 5]
    assert api.asked.count(1) == 2
    assert len(api.asked) == 6
    assert api.asked.index(1, 1) <= 4


def test_a_401_in_a_200_body_gets_a_new_token() -> None:
    logins: list[str] = []
    api = Api(faults(httpx.Response(200, json={"statusCode": 401})))

    def serve(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            logins.append(request.content.decode())
            return httpx.Response(200, json={"access_token": f"T{len(logins)}", "expires_in": 3600})
        return api(request)

    with LocusClient(
        LocusCredentials(client_id="i", client_secret="s"), transport=httpx.MockTransport(serve)
    ) as client:
        assert [outcome.error for outcome in answers(client, map(site, range(1, 4)))] == [None] * 3
    assert len(logins) == 2


def test_an_answer_that_never_can_be_read_is_raised_at_the_budgets_end() -> None:
    api = Api(lambda number: httpx.Response(500) if number == 3 else good(number))
    got: list[Call] = []
    with pytest.raises(ServerError, match="/v3/sites/3"):
        got.extend(
            outcome.call for outcome in answers(api.client(budget_seconds=0.2), map(site, range(1, 100)))
        )
    assert got == [site(1), site(2)]
    assert api_threads() == []


def test_an_oversized_answer_is_raised_by_the_reader_and_nothing_is_sent_after_it() -> None:
    import gzip

    packed = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(b" " * 5000))
    )
    api = Api(faults(packed), seconds=0.01)
    with pytest.raises(OversizedAnswerError):
        list(answers(api.client(max_body_bytes=1000), map(site, range(1, 100))))
    sent = len(api.asked)
    time.sleep(0.05)
    assert len(api.asked) == sent <= 4


@pytest.mark.parametrize("status", [503, 429, 401])
def test_an_error_is_told_by_its_status_however_long_its_body_is(status: int) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"<p>maintenance</p>" * 1000

    answers_left = [httpx.Response(status, content=endless())]
    waiting = Waiting(lambda number: answers_left.pop() if answers_left else good(number))
    assert waiting.outcomes(range(1, 3)) == [type(None)] * 2
    assert [one for one in waiting.done if isinstance(one, int)] == [1, 1, 2]
    pauses = [one for one in waiting.done if isinstance(one, float)]
    assert len(pauses) == 1
    assert pauses[0] >= GRACE, "the API may still be sending it"
    assert waiting.client.metrics.snapshot().by_status[status] == 1


def test_an_answer_of_success_that_is_too_long_is_not_asked_for_again() -> None:
    waiting = Waiting(lambda _: httpx.Response(200, content=iter([b" " * 2**20] * 65)))
    assert waiting.outcomes(range(1, 2)) == [OversizedAnswerError]
    assert waiting.done == [1]


def test_a_fatal_error_ends_the_run_after_what_was_answered() -> None:
    api = Api(lambda number: httpx.Response(401) if number == 3 else good(number))
    got: list[Call] = []
    with pytest.raises(AuthenticationError):
        got.extend(outcome.call for outcome in answers(api.client(), map(site, range(1, 100))))
    assert got == [site(1), site(2)]
    assert api.asked == [1, 2, 3]


def test_an_error_of_the_calls_themselves_is_raised_to_the_caller() -> None:
    def calls() -> Iterator[Call]:
        yield site(1)
        raise KeyError("plan")

    got: list[Call] = []
    with pytest.raises(KeyError, match="plan"):
        got.extend(outcome.call for outcome in answers(Api().client(), calls()))
    assert got == [site(1)]


def test_closing_waits_for_the_request_that_is_out_and_sends_no_other() -> None:
    api = Api(seconds=0.2)
    outcomes = answers(api.client(), map(site, range(1, 100)))
    next(outcomes)
    time.sleep(0.05)
    outcomes.close()  # type: ignore[attr-defined]
    assert api.in_flight == 0
    sent = len(api.asked)
    time.sleep(0.3)
    assert len(api.asked) == sent


def test_closing_ends_a_wait_at_once() -> None:
    api = Api(
        lambda number: httpx.Response(429, headers={"Retry-After": "60"}) if number == 2 else good(number)
    )
    outcomes = answers(api.client(), map(site, range(1, 100)))
    next(outcomes)
    while len(api.asked) < 2:
        time.sleep(0.01)
    time.sleep(0.05)
    began = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 1
    assert api.asked == [1, 2]


def test_a_wait_that_the_api_asks_for_and_is_too_long_is_raised() -> None:
    api = Api(faults(httpx.Response(429, headers={"Retry-After": "600"})))
    with pytest.raises(RateLimitedError) as caught:
        list(answers(api.client(), [site(1)]))
    assert caught.value.retry_after == 600


def test_the_answer_before_a_wait_is_given_while_the_wait_goes_on() -> None:
    api = Api(
        lambda number: httpx.Response(503, headers={"Retry-After": "60"}) if number == 2 else good(number)
    )
    outcomes = answers(api.client(), map(site, range(1, 100)))
    began = time.monotonic()
    assert next(outcomes).call == site(1)
    assert time.monotonic() - began < 5
    outcomes.close()  # type: ignore[attr-defined]


def test_calls_that_follow_from_an_outcome_go_first_or_last() -> None:
    def serve(number: int) -> httpx.Response:
        return httpx.Response(400, json={"message": "halve"}) if number == 1 else good(number)

    api = Api(serve, seconds=0.02)
    got: list[int] = []
    with Pipeline(api.client(), map(site, range(1, 8))) as pipeline:
        for outcome in pipeline:
            if outcome.error is not None:
                pipeline.put(site(11), front=True)
                pipeline.put(site(12))
            else:
                got.append(int(str(outcome.call.arguments["site_id"])))
    assert sorted(got) == [2, 3, 4, 5, 6, 7, 11, 12]
    assert got.index(11) < got.index(6)
    assert got[-1] == 12


def test_a_pipeline_goes_on_while_its_last_outcome_adds_calls() -> None:
    got: list[int] = []
    with Pipeline(Api().client()) as pipeline:
        pipeline.put(site(1))
        for outcome in pipeline:
            number = int(str(outcome.call.arguments["site_id"]))
            got.append(number)
            if number < 5:
                time.sleep(0.02)
                pipeline.put(site(number + 1))
    assert got == [1, 2, 3, 4, 5]


def test_a_closed_pipeline_gives_nothing_more() -> None:
    api = Api()
    pipeline = Pipeline(api.client(), map(site, range(1, 9)))
    pipeline.close()
    assert list(pipeline) == []
    assert api.asked == []


def test_an_error_of_the_caller_ends_the_thread() -> None:
    api = Api(seconds=0.01)

    def work() -> None:
        with Pipeline(api.client(), map(site, range(1, 99))) as pipeline:
            for _ in pipeline:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert api_threads() == []


class Waiting:
    """A client whose waits take no time, and what it did: a site for each request, and the seconds that it waited."""

    def __init__(self, serve: Serve) -> None:
        self.done: list[int | float] = []
        self.now = 0.0
        self.serve = serve
        transport = httpx.MockTransport(self.ask)
        login = LocusCredentials(client_id="i", client_secret="s")
        self.client = LocusClient(login, transport=transport, clock=lambda: self.now, sleep=self.sleep)

    def ask(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": "T", "expires_in": 3600})
        number = int(request.url.path.rpartition("/")[2])
        self.done.append(number)
        self.now += 0.02
        return self.serve(number)

    def sleep(self, seconds: float) -> None:
        self.done.append(seconds)
        self.now += seconds

    def outcomes(self, numbers: range, set_aside: float = 15.0) -> list[Any]:
        with Pipeline(self.client, map(site, numbers), set_aside=set_aside) as pipeline:
            return [type(outcome.error) for outcome in pipeline]


def unavailable(retry_after: int) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": str(retry_after)})


def test_the_wait_that_the_api_asks_for_is_sat_out_before_another_call_is_sent() -> None:
    waiting = Waiting(lambda _: unavailable(20))
    assert waiting.outcomes(range(1, 4)) == [ServerError] * 3
    assert waiting.done == [1, 20.0, 2, 20.0, 3, 20.0]


def test_a_wait_within_what_a_call_may_fail_for_is_sat_out_before_the_same_call() -> None:
    waiting = Waiting(lambda number: good(number) if number != 1 or waiting.now > 9 else unavailable(10))
    assert waiting.outcomes(range(1, 3)) == [type(None)] * 2
    assert waiting.done == [1, 10.0, 1, 2]


def test_a_wait_that_an_answer_of_another_status_asks_for_is_sat_out_too() -> None:
    busy = httpx.Response(200, json={"statusCode": 503}, headers={"Retry-After": "20"})
    waiting = Waiting(lambda number: busy if number == 1 else good(number))
    assert Counter(waiting.outcomes(range(1, 9))) == {ServerError: 1, type(None): 7}
    asked = waiting.done.index(20.0)
    assert 1 <= asked <= 4, "what was on its way when the answer was read is sent, and nothing else"
    assert len(waiting.done) == 9


def test_a_429_is_of_all_calls_and_is_sent_again_for_longer_than_a_call_that_fails_alone() -> None:
    waiting = Waiting(lambda number: httpx.Response(429) if waiting.now < 200 else good(number))
    assert waiting.outcomes(range(1, 3)) == [type(None)] * 2
    assert [one for one in waiting.done if isinstance(one, int)][-1] == 2
    assert waiting.done.count(1) > 5


def test_a_call_that_waits_when_the_pipeline_is_closed_is_told_of() -> None:
    api = Api(lambda number: unavailable(60) if number == 2 else good(number))
    with Pipeline(api.client(), map(site, range(1, 9)), set_aside=15.0) as pipeline:
        assert next(iter(pipeline)).call == site(1)
        while len(api.asked) < 2:
            time.sleep(0.01)
        time.sleep(0.05)
    assert api.asked == [1, 2]
    assert 55 < pipeline.wait_left <= 60
    assert pipeline.cut_off is not None
    assert pipeline.cut_off[0] == site(2)


def test_a_call_that_was_answered_at_last_is_not_one_that_was_cut_off() -> None:
    waiting = Waiting(faults(httpx.Response(503), httpx.Response(200, content=b"no JSON")))
    with Pipeline(waiting.client, map(site, range(1, 2)), set_aside=15.0) as pipeline:
        assert [outcome.error for outcome in pipeline] == [None]
    assert [one for one in waiting.done if isinstance(one, int)] == [1, 1, 1]
    assert pipeline.cut_off is None
