"""Each kind of fault is seen by a plain client, and no request is hit for ever."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

PATH = "/v3/partners/1/components"
QUERY = {
    "start": "2025-01-01T00:00:00",
    "end": "2025-01-20T00:00:00",
    "tz": "UTC",
    "gran": "hourly",
    "fields": "W_avg",
}


@pytest.mark.parametrize("kind", ["429", "500", "502", "503", "504"])
def test_an_error_status_has_the_vendors_shape_and_ends_after_the_streak(serve, kind):
    plant = serve(faults=[f"{kind}=1"], fault_streak=3)
    answers = [plant.get(PATH) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [int(kind)] * 3 + [200, int(kind)]
    assert answers[0].json()["statusCode"] == int(kind)
    assert "Retry-After" not in answers[0].headers
    stem = plant.stem("clients")
    assert stem.json()["errors"][0]["code"] == stem.status_code == int(kind)


def test_too_many_requests_reads_as_in_the_reference(serve):
    assert serve(faults=["429=1"]).get(PATH).json() == {"message": "Too many requests", "statusCode": 429}


def test_a_429_can_name_a_time_to_wait(serve):
    answer = serve(faults=["429-retry-after=1"], retry_after=7).get(PATH)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "7"


def test_a_503_can_name_the_date_until_which_to_wait(serve):
    answer = serve(faults=["503-retry-after=1"], retry_after=7).get(PATH)
    assert answer.status_code == 503
    until, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert (until - now).total_seconds() == 7


def test_a_reset_is_a_connection_reset(serve):
    plant = serve(faults=["reset=1"])
    for _ in range(2):
        with pytest.raises(httpx.ReadError) as problem:
            plant.get(PATH)
        cause = problem.value
        while cause.__cause__ is not None or cause.__context__ is not None:
            cause = cause.__cause__ or cause.__context__
        assert isinstance(cause, ConnectionResetError)
    assert [one.status for one in plant.server.log] == [None, None]
    assert plant.get(PATH).status_code == 200


@pytest.mark.parametrize("kind", ["reset-mid-body", "hang-mid-body"])
def test_an_answer_can_break_off_in_its_middle(serve, kind):
    plant = serve(faults=[f"{kind}=1"], fault_streak=1)
    error = httpx.ReadError if kind == "reset-mid-body" else httpx.ReadTimeout
    with plant.client.stream("GET", PATH, headers={"Accept-Encoding": "identity"}, timeout=0.5) as answer:
        assert answer.status_code == 200
        with pytest.raises(error):
            answer.read()
        assert answer.num_bytes_downloaded <= int(answer.headers["Content-Length"]) // 2
    time.sleep(0.2)
    assert plant.get(PATH).status_code == 200
    assert [(one.status, one.fault) for one in plant.server.log] == [(200, kind), (200, None)]


def test_a_hanging_request_answers_nothing_and_frees_its_place_when_given_up(serve):
    plant = serve(faults=["hang=1"], fault_streak=1)
    with pytest.raises(httpx.ReadTimeout):
        plant.client.get(PATH, timeout=0.3)
    time.sleep(0.2)
    assert plant.get(PATH).status_code == 200


def test_an_empty_answer_is_a_200_without_a_body(serve):
    answer = serve(faults=["empty=1"]).client.get(PATH, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_cut_off_answer_ends_before_its_length(serve, encoding):
    plant = serve(faults=["cut-off=1"])
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        plant.client.get(PATH, headers={"Accept-Encoding": encoding})


def test_a_garbled_packed_answer_cannot_be_unpacked(serve):
    plant = serve(faults=["garbled=1"])
    with pytest.raises(httpx.DecodingError):
        plant.client.get(PATH, headers={"Accept-Encoding": "gzip"})


def test_a_garbled_plain_answer_is_no_json(serve):
    answer = serve(faults=["garbled=1"]).client.get(PATH, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"decode|utf-8|Expecting"):
        answer.json()


def test_a_page_of_html_comes_with_status_200(serve):
    answer = serve(faults=["not-json=1"]).get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.text.startswith("<html>")


def test_an_errors_body_can_come_with_status_200(serve):
    plant = serve(faults=["status-in-body=1"])
    answers = [plant.get(PATH, nodeId=f"SB.{number}") for number in range(6)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["statusCode"] for answer in answers} == {500, 429, 401}


def test_stems_errors_body_can_come_with_status_200_too(serve):
    answer = serve(faults=["status-in-body=1"]).stem("clients")
    assert answer.status_code == 200
    assert answer.json() == {"errors": [{"message": "Internal Server Error", "code": 500}]}


def test_a_401_revokes_the_token_that_was_used(serve):
    plant = serve(faults=["401=1"], fault_streak=1)
    form = {
        "grant_type": "client_credentials",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
    }
    headers = {
        "Authorization": f"Bearer {plant.client.post('/oauth/token', data=form).json()['access_token']}"
    }
    assert [plant.client.get(PATH, headers=headers).status_code for _ in range(3)] == [401, 401, 401]
    headers = {
        "Authorization": f"Bearer {plant.client.post('/oauth/token', data=form).json()['access_token']}"
    }
    assert plant.client.get(PATH, headers=headers).status_code == 200


def test_a_slow_answer_trickles_and_is_whole(serve):
    plant = serve(faults=["slow=1"], slow_seconds=0.5)
    begun = time.monotonic()
    with plant.client.stream("GET", PATH) as response:
        pieces = list(response.iter_raw())
    assert time.monotonic() - begun >= 0.45
    assert len(pieces) > 5
    assert sum(map(len, pieces)) == int(response.headers["Content-Length"])


def test_faults_of_several_kinds_mix_and_are_in_the_log_and_the_figures(serve):
    plant = serve(faults=["503=0.3", "429=0.3"], fault_seed=5)
    statuses = [plant.site_data(3_000_001 + number, **QUERY).status_code for number in range(7)]
    statuses += [plant.get(f"/v3/sites/{3_000_001 + number}").status_code for number in range(24)]
    assert {200, 429, 503} == set(statuses)
    stats = plant.client.get("/_sandbox/stats").json()
    assert stats["by_status"] == {str(status): statuses.count(status) for status in (200, 429, 503)}
    assert stats["by_fault"] == {str(status): statuses.count(status) for status in (429, 503)}
    assert stats["requests"] == 31
    assert stats["data_requests"] == 7


def test_the_same_seed_hits_the_same_requests(serve):
    def run(seed):
        plant = serve(faults=["503=0.4"], fault_seed=seed)
        return [plant.get(f"/v3/sites/{3_000_001 + number}").status_code for number in range(24)]

    assert run(1) == run(1) != run(2)
