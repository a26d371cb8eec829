"""A server that is the sandbox for all but one endpoint, whose answers are replaced by whatever bytes an evil makes."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

#: A client that takes longer than this to hang up is a client that doesn't.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Honest:
    """What the sandbox would have answered."""

    status: int
    headers: dict[str, str]
    body: bytes


#: From the honest answer to the bytes on the socket, status line and headers included.
Produce = Callable[[Honest], Iterable[bytes]]


@dataclass
class Hostile:
    """Listens on loopback in threads of its own; a context manager.

    :param behind: the sandbox's URL.
    :param hits: whether a path is answered by the evil.
    :param evil: what makes the bytes; None: everything is honest.
    """

    behind: str
    hits: Callable[[str], bool] = lambda path: False
    evil: Produce | None = None
    asked: int = 0
    sent: int = 0
    _server: ThreadingTCPServer | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._server = ThreadingTCPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._server.server_close()

    def honest(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Honest:
        parts = urlsplit(self.behind)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            known = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        if known.pop("content-encoding", "") == "gzip":
            content = zlib.decompress(content, 16 + zlib.MAX_WBITS)
        return Honest(answer.status, known, content)


def _handler(hostile: Hostile) -> type[StreamRequestHandler]:
    class Handler(StreamRequestHandler):
        timeout = PATIENCE

        def handle(self):
            try:
                while self._one():
                    pass
            except OSError:
                return

        def _one(self) -> bool:
            line = self.rfile.readline(65_536).decode("latin-1").split()
            if len(line) != 3:
                return False
            headers = dict(self._headers())
            body = self.rfile.read(int(headers.get("content-length", "0")))
            method, target, _ = line
            honest = hostile.honest(method, target, headers, body)
            path = target.partition("?")[0]
            if hostile.evil is None or not hostile.hits(path):
                self.wfile.write(plain(honest))
                return True
            hostile.asked += 1
            try:
                for piece in hostile.evil(honest):
                    self.connection.sendall(piece)
                    hostile.sent += len(piece)
            finally:
                self._end()
            return False

        def _headers(self):
            while (line := self.rfile.readline(65_536)) not in {b"\r\n", b"\n", b""}:
                name, _, value = line.decode("latin-1").partition(":")
                yield name.strip().lower(), value.strip()

        def _end(self):
            # a reset, as of a server that is killed, where the client has bytes unread
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))

    return Handler


def plain(honest: Honest) -> bytes:
    """Write an answer as it is."""
    return head(honest.status, len(honest.body), Date=honest.headers.get("date", "")) + honest.body


def head(status: int | str, length: int | None, *lines: str, **headers: str) -> bytes:
    """Write a status line and headers; names have - for _."""
    written = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'So'}", "Content-Type: application/json"]
    if length is not None:
        written.append(f"Content-Length: {length}")
    written += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return ("\r\n".join([*written, *lines]) + "\r\n\r\n").encode("latin-1")
