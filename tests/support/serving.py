"""Serve a small server of a test's own on a thread, and end both."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import HTTPServer

S = TypeVar("S", bound="HTTPServer")


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Serve until the context's end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
