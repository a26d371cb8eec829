"""A synchronous transport that bounds a request's total time, also where an answer trickles in byte by byte.

httpx's own timeouts bound each wait for bytes, not their sum: a header that comes a byte a minute would hold
a task for ever. Here every wait of one request ends at the same instant.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from locus_stem.api.errors import ConfigurationError
from locus_stem.api.spellings import basic

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

#: Seconds for which an unused connection is kept.
KEEPALIVE = 55.0
#: Most bytes that one read takes off the socket: fewer reads, less time between two requests.
READ_BYTES = 2**18
OF_ENVIRONMENT = "the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.

    :param url: without user and password.
    :param login: user and password, None without.
    """

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, text: str, named: str = OF_ENVIRONMENT) -> Proxy:
        """Read a proxy as the environment writes it.

        :param named: says where it stands, for the error.
        :raises ConfigurationError: it is no URL; the message doesn't show it.
        """
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port  # raises where it is none
            url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL):
            port = 0
        if port == 0 or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"{named} is not a URL; allowed: http://user:password@host:port, other characters than letters and "
                "digits percent-encoded"
            )
        user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        return cls(url, user)

    @property
    def login_sent(self) -> tuple[bytes, bytes] | None:
        """User and password as they are sent, before they are written as base64."""
        return (self.login[0].encode(), self.login[1].encode()) if self.login else None

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What no log and no error may hold."""
        return (self.login[1], *basic(*self.login)) if self.login else ()


def environment_proxy(url: str) -> Proxy | None:
    """Give the proxy that the environment names for this URL (`HTTPS_PROXY`, `NO_PROXY`, …).

    :raises ConfigurationError: what it names is no URL.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme) or getproxies().get("all")
    return None if not proxy or proxy_bypass(parts.netloc) else Proxy.read(proxy)


def trusted_authorities() -> ssl.SSLContext:
    """Give what certificates are verified with: httpx's authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR.

    To read them takes 30 ms, in which a triggerer's event loop would stand still for each look.
    """
    return _authorities(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


@lru_cache(maxsize=4)
def _authorities(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


class DeadlineTransport(httpx.BaseTransport):
    """Like httpx.HTTPTransport, with the request's read timeout as the bound of its total time.

    :param url: the only host that will be asked; decides on the proxy.
    """

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {
            "ssl_context": trusted_authorities(),
            "max_keepalive_connections": 1,
            "keepalive_expiry": KEEPALIVE,
            "network_backend": _DeadlineBackend(),
        }
        proxy = environment_proxy(url)
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**options)
        else:
            self._pool = httpcore.HTTPProxy(proxy_url=proxy.url, proxy_auth=proxy.login_sent, **options)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is read with the same deadline."""
        total = request.extensions["timeout"]["read"]
        deadline = time.monotonic() + total
        # httpcore hands these on unread, but for pool: the backend below takes them for an instant
        timeouts = {"connect": deadline, "read": deadline, "write": deadline, "pool": total}
        with _as_httpx_errors():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.content,
                    extensions={**request.extensions, "timeout": timeouts},
                )
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _as_httpx_errors():
            self._response.close()


class _DeadlineBackend(httpcore.NetworkBackend):
    """Takes each timeout for the instant, on the monotonic clock, at which to give up."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._backend.connect_tcp(host, port, left, local_address, socket_options))


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max(max_bytes, READ_BYTES), _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float | None, error: type[httpcore.TimeoutException]) -> float:
    left = (deadline or 0.0) - time.monotonic()  # every request has a deadline
    if left <= 0:
        raise error("the time for one request is over")
    return left


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(str(error)) from error
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from error
    except httpcore.NetworkError as error:
        raise httpx.NetworkError(str(error)) from error
    except httpcore.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except (httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        raise httpx.TransportError(str(error)) from error
