from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from locus_stem.api import (
    AuthenticationError,
    LocusClient,
    LocusCredentials,
    LocusEndpoints,
    MalformedAnswerError,
    ServerError,
    StemCredentials,
    StemEndpoints,
    TokenRejectedError,
)

SITE = LocusEndpoints.get_site.request(site_id=1)
APP = {"client_id": "app", "client_secret": "s3cret"}
PASSWORD = LocusCredentials(username="solar", password="pass&word", **APP, label="connection 'locus_default'")


def test_one_token_serves_many_calls(asker: Any, api: Any) -> None:
    asker.use()
    for _ in range(3):
        assert asker.ask(SITE) == {"id": 1}
    assert api.forms == [{"grant_type": "password", **APP, "username": "solar", "password": "pass&word"}]
    assert api.authorizations == ["Bearer T1"] * 3


def test_without_a_login_the_grant_is_client_credentials(asker: Any, api: Any) -> None:
    asker.use(LocusCredentials(**APP)).ask(SITE)
    assert api.forms == [{"grant_type": "client_credentials", **APP}]


@pytest.mark.parametrize(("life", "margin"), [(3600, 30.0), (100, 10.0), (5, 0.5)])
def test_a_token_is_renewed_30_seconds_or_a_tenth_before_its_end(
    asker: Any, api: Any, clock: Any, life: int, margin: float
) -> None:
    api.expires_in = life
    asker.use().ask(SITE)
    clock.pass_time(life - margin - 0.01)
    asker.ask(SITE)
    assert api.authorizations == ["Bearer T1"] * 2
    clock.pass_time(0.02)
    asker.ask(SITE)
    assert api.authorizations[-1] == "Bearer T2"


def test_the_life_of_a_token_counts_from_its_request_not_from_its_answer(
    asker: Any, api: Any, clock: Any
) -> None:
    api.expires_in, api.seconds = 100, 20.0
    asker.use().ask(SITE)  # 20 s for the token, 20 s for the site
    clock.pass_time(100 - 40 - 10 - 1)
    asker.ask(SITE)
    assert api.issued == 1
    asker.ask(SITE)
    assert api.issued == 2


def test_renewal_sends_the_refresh_token_and_keeps_the_old_one_where_the_answer_has_none(
    asker: Any, api: Any, clock: Any
) -> None:
    asker.use().ask(SITE)
    for _ in range(2):
        clock.pass_time(3600)
        asker.ask(SITE)
    assert [form.get("refresh_token") for form in api.forms] == [None, "R1", "R1"]
    assert api.forms[1] == {"grant_type": "refresh_token", **APP, "refresh_token": "R1"}


def test_a_refused_refresh_token_is_followed_by_a_login(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    asker.use().ask(SITE)
    clock.pass_time(3600)
    api.token_steps.append(refused(400, "invalid_grant"))
    asker.ask(SITE)
    assert api.grants == ["password", "refresh_token", "password"]
    assert api.authorizations == ["Bearer T1", "Bearer T2"]
    assert clock.waits == []


@pytest.mark.parametrize("in_body", [False, True], ids=["status 401", "statusCode 401 in a 200 body"])
def test_a_token_that_is_revoked_in_mid_run_is_replaced_at_once(
    asker: Any, api: Any, clock: Any, refused: Any, in_body: bool
) -> None:
    asker.use().ask(SITE)
    body = {"statusCode": 401, "message": "revoked"}
    api.steps.append(httpx.Response(200, json=body) if in_body else refused(401))
    assert asker.ask(SITE) == {"id": 1}
    assert api.authorizations == ["Bearer T1", "Bearer T1", "Bearer T2"]
    assert api.grants == ["password", "refresh_token"]
    assert clock.waits == []


def test_tokens_may_be_revoked_any_number_of_times_over_a_clients_life(
    asker: Any, api: Any, clock: Any
) -> None:
    asker.use()
    for number in range(50):
        served = f"Bearer T{number + 1}"  # each time only the next token is taken
        api.accepts = lambda header, served=served: header == served
        assert asker.ask(SITE) == {"id": 1}
        assert api.issued == number + 1
    assert clock.waits == []


def test_a_second_401_in_a_row_makes_the_client_log_in_again_after_a_wait(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    asker.use().ask(SITE)
    api.steps.extend([refused(401), refused(401)])
    asker.ask(SITE)
    assert api.grants == ["password", "refresh_token", "password"]
    assert len(clock.waits) == 1


def test_a_resource_that_refuses_every_fresh_token_ends_within_the_budget(
    asker: Any, api: Any, clock: Any
) -> None:
    api.accepts = lambda _: False
    began = clock.now
    with pytest.raises(TokenRejectedError, match=r"/v3/sites/1: HTTP 401: token expired \(failed \d+ times"):
        asker.use().ask(SITE)
    assert clock.now - began <= 300
    assert len(api.sent) < 100


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refused_login_is_final_and_names_connection_and_fields(
    asker: Any, api: Any, refused: Any, status: int
) -> None:
    api.token_steps.append(refused(status, "bad login for solar with pass&word and s3cret"))
    with pytest.raises(AuthenticationError) as caught:
        asker.use(PASSWORD).ask(SITE)
    message = str(caught.value)
    assert message.startswith(f"/oauth/token: HTTP {status}: bad login for solar with *** and ***")
    assert "connection 'locus_default'" in message
    assert "host and the fields client_id, client_secret, login, password" in message
    assert len(api.forms) == 1
    assert api.sent == []


def test_a_refusal_in_the_token_endpoints_200_body_is_final_too(asker: Any, api: Any) -> None:
    api.token_steps.append(httpx.Response(200, json={"statusCode": 401, "message": "bad"}))
    with pytest.raises(AuthenticationError):
        asker.use().ask(SITE)
    assert len(api.forms) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_token_endpoint_that_fails_is_asked_again(
    asker: Any, api: Any, clock: Any, refused: Any, status: int
) -> None:
    api.token_steps.extend([refused(status), httpx.ConnectError("refused")])
    assert asker.use().ask(SITE) == {"id": 1}
    assert len(api.forms) == 3
    assert len(clock.waits) == 2
    assert asker.client.metrics.snapshot().retries == 2


def test_a_token_endpoint_that_never_recovers_ends_with_its_error_at_the_calls_budget(
    asker: Any, api: Any, clock: Any, refused: Any
) -> None:
    api.token_steps.extend([refused(503) for _ in range(200)])
    began = clock.now
    with pytest.raises(ServerError, match=r"^/oauth/token: HTTP 503"):
        asker.use().ask(SITE)
    assert clock.now - began <= 300


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"expires_in": 3600}', b'{"access_token": 5}'])
def test_a_garbled_token_answer_is_asked_for_again(asker: Any, api: Any, body: bytes) -> None:
    api.token_steps.append(httpx.Response(200, content=body))
    assert asker.use().ask(SITE) == {"id": 1}
    assert len(api.forms) == 2


def test_a_token_answer_that_stays_garbled_is_a_malformed_answer(asker: Any, api: Any) -> None:
    api.token_steps.extend([httpx.Response(200, content=b"<html>") for _ in range(200)])
    with pytest.raises(MalformedAnswerError, match=r"^/oauth/token: "):
        asker.use().ask(SITE)


@pytest.mark.parametrize("life", ["3600", 3600.0])
def test_the_life_of_a_token_may_be_text(asker: Any, api: Any, clock: Any, life: Any) -> None:
    api.expires_in = life
    asker.use().ask(SITE)
    clock.pass_time(3569)
    asker.ask(SITE)
    clock.pass_time(2)
    asker.ask(SITE)
    assert api.issued == 2


@pytest.mark.parametrize("life", [None, "soon", "NaN"])
def test_a_token_without_a_life_that_can_be_read_is_used_until_a_401(
    asker: Any, api: Any, clock: Any, refused: Any, life: Any
) -> None:
    api.expires_in = life
    asker.use().ask(SITE)
    clock.pass_time(1e6)
    asker.ask(SITE)
    assert api.issued == 1
    api.steps.append(refused(401))
    asker.ask(SITE)
    assert api.issued == 2


def test_a_token_that_has_ended_when_it_arrives_serves_one_request(asker: Any, api: Any) -> None:
    api.expires_in = 0
    asker.use()
    for _ in range(2):
        asker.ask(SITE)
    assert api.authorizations == ["Bearer T1", "Bearer T2"]


def test_with_a_fixed_bearer_token_the_first_401_is_final(asker: Any, api: Any, refused: Any) -> None:
    api.steps.append(refused(401, "no such token: secret-token"))
    bearer = LocusCredentials(grant_type="bearer", password="secret-token", label="connection 'x'")
    with pytest.raises(
        AuthenticationError, match=r"connection 'x' is refused: check its field password"
    ) as caught:
        asker.use(bearer).ask(SITE)
    assert "secret-token" not in str(caught.value)
    assert api.authorizations == ["Bearer secret-token"]


def test_with_an_api_key_the_first_401_is_final(asker: Any, api: Any, refused: Any) -> None:
    api.steps.append(refused(401))
    with pytest.raises(
        AuthenticationError, match=r"connection 's' is refused: check its field password \(the API key\)"
    ):
        asker.use(StemCredentials(api_key="key", label="connection 's'")).ask(
            StemEndpoints.get_site.request(site_id="a")
        )
    assert api.authorizations == ["APIKEY key"]


def test_every_token_is_told_before_it_is_used(asker: Any, api: Any, clock: Any) -> None:
    told: list[str] = []
    api.accepts = lambda header: header.removeprefix("Bearer ") in told
    asker.use(on_token=told.append).ask(SITE)
    clock.pass_time(3600)
    asker.ask(SITE)
    assert told == ["T1", "R1", "T2"]
    assert len(api.sent) == 2


def test_tokens_that_the_api_echoes_are_not_in_the_error(asker: Any, api: Any, refused: Any) -> None:
    api.token_steps.append(
        httpx.Response(200, json={"access_token": "tok-abc", "refresh_token": "ref-abc", "expires_in": 60})
    )
    api.steps.append(refused(403, "tok-abc, ref-abc, s3cret and pass%26word may not read this"))
    with pytest.raises(Exception, match="may not read this") as caught:
        asker.use().ask(SITE)
    assert "HTTP 403: ***, ***, *** and *** may not read this" in str(caught.value)


def test_threads_that_meet_a_revoked_token_together_get_one_new_token() -> None:
    together = threading.Barrier(4)
    lock = threading.Lock()
    logins: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            with lock:
                logins.append(request.content.decode())
                return httpx.Response(200, json={"access_token": f"T{len(logins)}", "expires_in": 3600})
        if request.headers["Authorization"] == "Bearer T1":
            together.wait(10)
            return httpx.Response(401)
        return httpx.Response(200, json={"id": 1})

    got: list[Any] = []
    with LocusClient(PASSWORD, transport=httpx.MockTransport(serve)) as client:
        threads = [threading.Thread(target=lambda: got.append(client.call(SITE))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert got == [{"id": 1}] * 4
    assert len(logins) == 2
