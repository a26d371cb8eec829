"""Secrets that are recognised by any piece of them, and servers that give back whatever they are sent."""

from __future__ import annotations

import pytest

from locus_stem.api import LocusCredentials, StemCredentials
from support.canaries import ANY_TEXT, ASCII, Canary
from support.certificates import self_signed
from support.echoing import Hostile


class Secrets:
    """The secrets of one test."""

    def __init__(self):
        self.canaries = []

    def new(self, between=ANY_TEXT):
        self.canaries.append(Canary.new(f"secret {len(self.canaries)}", between))
        return self.canaries[-1].value

    def token(self):
        return self.new(ASCII)

    def in_text(self, text):
        """Give the marks that a text shows: a piece of a secret each."""
        content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        return [needle for canary in self.canaries for needle in canary.needles() if needle in content]


@pytest.fixture
def secrets():
    return Secrets()


@pytest.fixture
def hostile(trap, secrets):
    with Hostile(trap.server_port, secrets.token) as running:
        yield running


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


@pytest.fixture
def tls(trap, secrets, certificate):
    with Hostile(trap.server_port, secrets.token, certificate) as running:
        yield running


@pytest.fixture
def credentials(secrets):
    """Make credentials of a kind for a host."""

    def make(kind, host, **more):
        app = {"client_id": "app", "client_secret": secrets.new()}
        common = {"host": host, "timeout": 1.0, "label": "connection 'x'", **more}
        if kind == "password":
            return LocusCredentials(username="solar", password=secrets.new(), **app, **common)
        if kind == "client":
            return LocusCredentials(**app, **common)
        if kind == "bearer":
            return LocusCredentials(grant_type="bearer", password=secrets.token(), **common)
        return StemCredentials(api_key=secrets.token(), **common)

    return make
