"""Over real sockets: what only a socket can do."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from locus_stem.api import (
    AsyncLocusClient,
    LocusClient,
    LocusCredentials,
    LocusEndpoints,
    OversizedAnswerError,
    TransportError,
    answers,
)
from locus_stem.api.transport import environment_proxy

SITE = LocusEndpoints.get_site.request(site_id=1)
GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"id": 1}'
if TYPE_CHECKING:
    from pathlib import Path

Behaviour = Callable[[socket.socket], None]


class Server:
    """Plays one behaviour a request, the last one for all that follow."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.behaviours = list(behaviours)
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        connection = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
        with connection:
            try:
                while request := connection.recv(65536):
                    length = re.search(rb"Content-Length: (\d+)", request)
                    while length and len(request.partition(b"\r\n\r\n")[2]) < int(length[1]):
                        request += connection.recv(65536)  # the form may come in a packet of its own
                    self.requests.append(request)
                    behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                    behaviour(connection)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(*behaviours, tls=tls)
    try:
        yield server
    finally:
        server.close()


def good(connection: socket.socket) -> None:
    connection.sendall(GOOD)


def hang(_: socket.socket) -> None:
    time.sleep(5)


def trickle_header(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def trickle_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


def cut_body(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"id"')
    connection.shutdown(socket.SHUT_RDWR)


def cut_chunks(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"id\r\n')
    connection.shutdown(socket.SHUT_RDWR)


def no_answer(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def endless_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" " * 100_000)


FAULTS = {one.__name__: one for one in (cut_body, cut_chunks, no_answer, reset, no_http)}
SLOW = {one.__name__: one for one in (hang, trickle_header, trickle_body)}


def credentials(port: int, timeout: float = 5.0, scheme: str = "http") -> LocusCredentials:
    host = f"{scheme}://127.0.0.1:{port}"
    return LocusCredentials(host=host, grant_type="bearer", password="x", timeout=timeout)


def ask(kind: str, port: int, timeout: float = 5.0, scheme: str = "http", **options: Any) -> Any:
    if kind == "sync":
        with LocusClient(credentials(port, timeout, scheme), **options) as client:
            return client.call(SITE)

    async def ask_async() -> Any:
        async with AsyncLocusClient(credentials(port, timeout, scheme), **options) as client:
            return await client.call(SITE)

    return asyncio.run(ask_async())


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_broken_connection_the_request_is_sent_again(kind: str, fault: str) -> None:
    with serving(FAULTS[fault], good) as server:
        assert ask(kind, server.port) == {"id": 1}
        assert len(server.requests) == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("slow", SLOW)
def test_one_request_ends_at_its_timeout_also_while_bytes_trickle_in(kind: str, slow: str) -> None:
    with serving(SLOW[slow]) as server:
        began = time.monotonic()
        with pytest.raises(TransportError, match=r"timeout: no whole answer within 0\.4 s"):
            ask(kind, server.port, timeout=0.4, budget_seconds=0)
        assert 0.35 < time.monotonic() - began < 2.5
        assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_host_that_does_not_listen_is_a_transport_error(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match=r"^/v3/sites/1: connect: .*Check the connection's host"):
        ask(kind, port, budget_seconds=0.2)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_body_without_end_is_left_at_the_limit(kind: str) -> None:
    with (
        serving(endless_body) as server,
        pytest.raises(OversizedAnswerError, match="longer than 1000000 bytes"),
    ):
        ask(kind, server.port, max_body_bytes=1_000_000)


def test_calls_share_one_connection_and_a_closed_client_opens_another() -> None:
    with serving(good) as server:
        client = LocusClient(credentials(server.port))
        for _ in range(5):
            client.call(SITE)
        assert server.connections == 1
        client.close()
        assert client.call(SITE) == {"id": 1}
        client.close()
        assert server.connections == 2


def test_a_kept_connection_that_the_server_has_closed_is_not_used_again() -> None:
    def last(connection: socket.socket) -> None:
        good(connection)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(last, good) as server, LocusClient(credentials(server.port)) as client:
        client.call(SITE)
        time.sleep(0.1)
        client.call(SITE)
        assert client.metrics.retries == 0


def test_the_host_may_have_a_path_before_the_apis_own() -> None:
    with serving(good) as server:
        base = LocusCredentials(
            host=f"http://127.0.0.1:{server.port}/gate/", grant_type="bearer", password="x"
        )
        with LocusClient(base) as client:
            client.call(SITE)
        assert server.requests[0].startswith(b"GET /gate/v3/sites/1 HTTP/1.1\r\n")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_token_is_asked_for_with_a_form_over_the_same_connection(kind: str) -> None:
    def token(connection: socket.socket) -> None:
        body = b'{"access_token": "T1", "expires_in": 3600}'
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async def ask_async(account: LocusCredentials) -> Any:
        async with AsyncLocusClient(account) as client:
            return await client.call(SITE)

    with serving(token, good) as server:
        account = LocusCredentials(
            host=f"http://127.0.0.1:{server.port}", client_id="a b", client_secret="c&d"
        )
        if kind == "sync":
            with LocusClient(account) as client:
                assert client.call(SITE) == {"id": 1}
        else:
            assert asyncio.run(ask_async(account)) == {"id": 1}
        form, resource = server.requests
        assert form.startswith(b"POST /oauth/token HTTP/1.1\r\n")
        assert form.endswith(b"\r\n\r\ngrant_type=client_credentials&client_id=a+b&client_secret=c%26d")
        assert b"Authorization: Bearer T1\r\n" in resource
        assert server.connections == 1


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(good) as server:
        monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{server.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        there = LocusCredentials(
            host="http://api.example", grant_type="bearer", password="x", allow_http=True
        )
        with LocusClient(there) as client:
            assert client.call(SITE) == {"id": 1}
        assert server.requests[0].startswith(b"GET http://api.example/v3/sites/1 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6cHc=" in server.requests[0]
        monkeypatch.setenv("no_proxy", "api.example")
        assert environment_proxy("http://api.example") is None


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for this machine that clients trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return context


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_over_tls_all_is_the_same(kind: str, tls: ssl.SSLContext) -> None:
    with serving(reset, good, tls=tls) as server:
        assert ask(kind, server.port, scheme="https") == {"id": 1}
        assert len(server.requests) == 2
    with serving(trickle_header, tls=tls) as server, pytest.raises(TransportError, match="timeout"):
        ask(kind, server.port, timeout=0.5, scheme="https", budget_seconds=0)


def test_a_host_that_does_not_speak_tls_is_a_transport_error() -> None:
    with serving(good) as server, pytest.raises(TransportError, match=r"connect: .*SSL"):
        ask("sync", server.port, scheme="https", budget_seconds=0)


def test_an_answer_is_given_while_the_next_request_is_out() -> None:
    with serving(good, hang) as server, LocusClient(credentials(server.port, timeout=1.5)) as client:
        outcomes = answers(client, [SITE, SITE])
        began = time.monotonic()
        assert next(outcomes).error is None
        assert time.monotonic() - began < 1
        time.sleep(0.1)
        assert len(server.requests) == 2
        outcomes.close()  # type: ignore[attr-defined]


def test_a_request_is_not_begun_when_its_time_is_over() -> None:
    with serving(hang) as server, pytest.raises(TransportError, match="timeout"):
        ask("sync", server.port, timeout=1e-9, budget_seconds=0)
    assert server.requests == []
