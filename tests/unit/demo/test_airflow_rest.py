from __future__ import annotations

import httpx
import pytest

from locus_stem.demo import airflow_rest
from locus_stem.demo.airflow_rest import TRIES, AirflowRest

LOCKED = httpx.Response(500, json={"detail": {"reason": "Database error", "statement": "hidden"}})
BROKEN = httpx.Response(500, text="Internal Server Error")
DONE = httpx.Response(200, json={"is_paused": False})


@pytest.fixture
def asked(monkeypatch):
    """Let Airflow answer what the list holds, the last again and again; gives the list and the requests."""
    answers, requests = [], []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append((request.method, request.url.path, request.content))
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(airflow_rest, "PAUSE", 0.0)
    rest = AirflowRest("http://airflow.example", "user", "password")
    monkeypatch.setattr(rest, "_http", httpx.Client(base_url=rest.url, transport=httpx.MockTransport(answer)))
    return rest, answers, requests


def test_what_the_database_has_refused_is_sent_again(asked):
    rest, answers, requests = asked
    answers += [LOCKED, LOCKED, DONE]
    rest.unpause("one")
    assert requests == [("PATCH", "/api/v2/dags/one", b'{"is_paused":false}')] * 3


@pytest.mark.parametrize(("answer", "times"), [(LOCKED, TRIES), (BROKEN, 1)])
def test_an_error_that_stays_or_is_another_is_told(asked, answer, times):
    rest, answers, requests = asked
    answers.append(answer)
    with pytest.raises(RuntimeError, match=r"PATCH /api/v2/dags/one: HTTP 500"):
        rest.unpause("one")
    assert len(requests) == times
