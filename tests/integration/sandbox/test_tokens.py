"""The token endpoint as the reference describes it, and the life of what it gives out."""

from __future__ import annotations

import time

import pytest

CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
PASSWORD = {"grant_type": "password", **CLIENT, "username": "sandbox", "password": "sandbox-password"}


def token(plant, **form):
    return plant.client.post("/oauth/token", data=form)


def status(plant, access_token):
    headers = {"Authorization": f"Bearer {access_token}"}
    return plant.client.get("/v3/partners/1/clients", headers=headers).status_code


def test_the_password_grant_gives_both_tokens(plant):
    answer = token(plant, **PASSWORD).json()
    assert set(answer) == {"access_token", "issued_at", "token_type", "refresh_token", "expires_in"}
    assert answer["expires_in"] == 3600
    assert status(plant, answer["access_token"]) == 200
    assert status(plant, answer["refresh_token"]) == 401


def test_a_refresh_gives_a_new_access_token(plant):
    first = token(plant, **PASSWORD).json()
    again = token(plant, grant_type="refresh_token", **CLIENT, refresh_token=first["refresh_token"]).json()
    assert again["access_token"] != first["access_token"]
    assert status(plant, again["access_token"]) == 200


def test_client_credentials_give_an_access_token_alone(plant):
    answer = token(plant, grant_type="client_credentials", **CLIENT).json()
    assert set(answer) == {"access_token", "issued_at", "expires_in"}
    assert status(plant, answer["access_token"]) == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong"}, 401),
        ({"username": "wrong"}, 401),
        ({"client_secret": "wrong"}, 401),
        ({"client_id": "wrong"}, 401),
        ({"grant_type": "implicit"}, 400),
        ({"grant_type": ""}, 400),
        ({"password": ""}, 400),
        ({"scope": "all"}, 400),
        ({"grant_type": "refresh_token"}, 400),
    ],
    ids=str,
)
def test_a_bad_token_request_is_refused_without_showing_secrets(plant, change, code):
    response = token(plant, **PASSWORD | change)
    assert response.status_code == code
    assert response.json()["statusCode"] == code
    assert "sandbox-" not in response.text


def test_an_unknown_refresh_token_is_refused(plant):
    assert token(plant, grant_type="refresh_token", **CLIENT, refresh_token="nope").status_code == 400


def test_tokens_expire(serve):
    plant = serve(token_life=1)
    answer = token(plant, **PASSWORD).json()
    assert answer["expires_in"] == 1
    assert status(plant, answer["access_token"]) == 200
    time.sleep(1.05)
    assert status(plant, answer["access_token"]) == 401
    assert status(plant, "sandbox-token") == 200


def test_tokens_are_revoked_from_time_to_time(serve):
    plant = serve(revoke_every=0.5)
    first = token(plant, **PASSWORD).json()["access_token"]
    time.sleep(0.55)
    assert status(plant, first) == 401
    assert status(plant, token(plant, **PASSWORD).json()["access_token"]) == 200


def test_all_tokens_can_be_revoked_at_once(serve):
    plant = serve()
    first = token(plant, **PASSWORD).json()["access_token"]
    assert plant.client.post("/_sandbox/revoke").status_code == 200
    assert status(plant, first) == 401


def test_a_refresh_can_come_without_a_refresh_token_or_be_refused(serve):
    for fault, check in (
        ("refresh-without-refresh-token=1", lambda answer: "refresh_token" not in answer.json()),
        ("refresh-refused=1", lambda answer: answer.status_code == 400),
    ):
        plant = serve(faults=[fault])
        first = token(plant, **PASSWORD)
        assert first.status_code == 200
        refresh = first.json()["refresh_token"]
        assert check(token(plant, grant_type="refresh_token", **CLIENT, refresh_token=refresh))


def test_the_log_holds_no_secret(serve):
    plant = serve()
    token(plant, **PASSWORD)
    plant.client.get("/v3/partners/1/clients?access_token=very-secret")
    log = plant.client.get("/_sandbox/log").text
    assert "/oauth/token" in log
    for secret in ("sandbox-secret", "sandbox-password", "sandbox-token", "very-secret"):
        assert secret not in log
