"""A server that fails in many ways, and in each gives back every secret that it was sent: in bodies and headers."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Self

#: Behaviours by name; a path begins with ``/login/NAME`` where the token endpoint behaves so too, else ``/data/NAME``.
STATUSES = {"refuses": 401, "forbids": 403, "plain": 500, "html": 400, "limits": 429}
REDIRECTS = {"moved": 301, "found": 302, "temporary": 307, "permanent": 308}
OTHERS = ("cut", "statusline", "encoding", "hang", "reset", "status-in-body", "bad-location", "no-token")
TARGETS = ("host", "scheme")
BEHAVIOURS = (*STATUSES, *OTHERS, *(f"{kind}-{target}" for kind in REDIRECTS for target in TARGETS))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up."""


class Trap(_Server):
    """Where redirects lead to; counts whoever connects."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.connections = 0

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.connections += 1
        self.shutdown_request(request)


class Hostile(_Server):
    """Fails as the path says.

    :param trap_port: where redirects lead to, on another host or by another scheme.
    :param new_token: gives a token to issue.
    :param tls: certificate and key; None: plain http.
    """

    def __init__(
        self, trap_port: int, new_token: Callable[[], str], tls: tuple[str, str] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.redirects_to = {
            "host": f"http://localhost:{trap_port}/",
            "scheme": f"https://127.0.0.1:{trap_port}/",
        }
        self.new_token = new_token
        self.requests: list[str] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.listing = 403  # the status of a bucket's list, which has no behaviour in its path
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Handler(BaseHTTPRequestHandler):
    server: Hostile
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_CONNECT(self) -> None:
        """Refuse as a proxy that gives back its login."""
        self.server.requests.append(self.requestline)
        self._answer(
            407, f"Proxy login refused: {self.headers['Proxy-Authorization']}".encode(), "text/plain"
        )

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(self.requestline)
        self.server.posts.append((dict(self.headers.items()), body))
        _, where, behaviour, *rest = [*self.path.split("?")[0].split("/"), "", ""]
        form = body.decode("latin-1") if "form" in self.headers.get("Content-Type", "") else ""
        held = [value for name, value in parse_qsl(form) if name != "grant_type"]
        token = self.headers.get("X-Amz-Security-Token", "")
        self.held = [
            token or self.headers.get("Authorization", ""),
            *held,
            body.decode("utf-8", "replace"),
            self.path,
        ]
        if where == "data" and rest[:2] == ["oauth", "token"]:
            token = {"access_token": self.server.new_token(), "refresh_token": self.server.new_token()}
            self._answer(200, json.dumps({**token, "expires_in": 3600}).encode())
        elif behaviour in STATUSES:
            self._refuse(STATUSES[behaviour], behaviour)
        elif not behaviour:
            self._refuse(self.server.listing, "")
        elif behaviour.endswith(TARGETS):
            kind, _, target = behaviour.partition("-")
            self._answer(REDIRECTS[kind], self._message(), Location=self.server.redirects_to[target])
        else:
            self._fail(behaviour)

    def _message(self) -> bytes:
        said = " ".join(self.held)
        return json.dumps(
            {"statusCode": 400, "message": said, "error": said, "error_description": said}
        ).encode()

    def _refuse(self, status: int, behaviour: str) -> None:
        said = " ".join(self.held)
        later = {"Retry-After": "200"} if status in {429, 500} else {"Retry-After": quote(said)}
        if behaviour == "plain":
            self._answer(status, said.encode(), "text/plain; charset=utf-8", **later)
        elif behaviour == "html":
            self._answer(status, f"<html><body>{said}</body></html>".encode(), "text/html", **later)
        else:
            body = {"statusCode": status, "message": said, "error_description": said, "errors": None}
            self._answer(status, json.dumps(body).encode(), **later)

    def _fail(self, behaviour: str) -> None:
        said = " ".join(self.held)
        if behaviour == "takes":
            self._answer(204, b"")
            return
        if behaviour == "hang":
            time.sleep(3)
        elif behaviour == "statusline":
            self.wfile.write(said.replace("\n", " ").encode() + b"\r\n\r\n")
        elif behaviour == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(self._message())
        elif behaviour == "encoding":
            self._answer(200, gzip.compress(self._message()), **{"Content-Encoding": self.held[0]})
        elif behaviour == "status-in-body":
            self._answer(200, self._message())
        elif behaviour == "bad-location":
            self._answer(302, self._message(), Location=f"https://[{quote(said)}")
        elif behaviour == "no-token":
            self._answer(200, json.dumps({"access_token": 5, "refresh_token": self.held}).encode())
        self.close_connection = True

    def _answer(
        self, status: int, body: bytes, content_type: str = "application/json", **headers: str
    ) -> None:
        self.send_response(status)
        echoed = getattr(self, "held", [self.headers.get("Proxy-Authorization", "")])
        for number, held in enumerate(echoed):  # as they are and as a browser would write them
            line = held.replace("\r", " ").replace("\n", " ")
            self.wfile_header(f"X-Echo-{number}", line.encode())
            self.wfile_header(f"X-Echo-Quoted-{number}", quote(line).encode())
            self.wfile_header(f"X-Echo-Json-{number}", json.dumps(line).replace("/", "\\/").encode())
        for name, value in {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.wfile_header(name.replace("_", "-"), value.encode())
        self.end_headers()
        self.wfile.write(body)

    def wfile_header(self, name: str, value: bytes) -> None:
        """Send a header of any bytes: the base class takes Latin-1 only."""
        self._headers_buffer.append(name.encode() + b": " + value + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
