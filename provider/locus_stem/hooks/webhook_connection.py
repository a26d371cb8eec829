"""What stands in a webhook's connection: where to post to, what is secret in it, and whether it can be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from locus_stem.api.errors import ConfigurationError
from locus_stem.api.spellings import basic
from locus_stem.api.transport import Proxy, environment_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Connection
    from airflow.providers.http.hooks.http import HttpHook

#: What the extra of a connection of type http sets; everything else in it is a header.
SETTINGS = frozenset({
    "allow_redirects", "cert", "check_response", "max_redirects", "proxies", "proxy", "srv_lookup", "stream", "timeout",
    "trust_env", "verify", "verify_ssl",
})  # fmt: skip
#: Headers whose values tell nothing; all others may be keys.
PLAIN_HEADERS = frozenset({
    "accept", "accept-encoding", "accept-language", "connection", "content-type", "user-agent"
})  # fmt: skip


def checked_address(connection: Connection, label: str, hook: HttpHook) -> SplitResult:
    """Read the address that is posted to, and check that login and headers can be sent.

    :param label: names the connection in errors.
    :param hook: makes the address from the connection's fields.
    :raises ConfigurationError: a field can't be used; the message shows none of them.
    """
    if not isinstance(connection.extra_dejson, dict):
        raise ConfigurationError(f"{label}: field extra is not a JSON object")
    try:
        address = hook.url_from_endpoint(None)
        parts = urlsplit(address)
        port = parts.port  # raises where it is none
    except ValueError:
        port = 0
    if port == 0 or parts.scheme not in {"http", "https"} or not parts.hostname or not address.isprintable():
        raise ConfigurationError(f"{label}: fields schema and host are no address; allowed: http and https")
    fields = {"login": connection.login or "", "password": connection.password or ""}
    headers = {f"{name} (a header, in extra)": value for name, value in _headers(connection).items()}
    for name, value in {**fields, **headers}.items():
        if not isinstance(value, str) or not _can_be_sent(value):
            raise ConfigurationError(
                f"{label}: field {name} can't be sent; allowed: text of Latin-1 characters without line breaks"
            )
    return parts


def secrets_in(connection: Connection, label: str, address: SplitResult) -> Iterator[str | None]:
    """Give what no log may hold: login, headers, whatever in the address may be a key, and the proxies' passwords.

    :raises ConfigurationError: a proxy is none; the message doesn't show it.
    """
    yield connection.password
    yield from basic(connection.login, connection.password)
    yield from _of_url(address)
    for name, value in _headers(connection).items():
        if name.lower() not in PLAIN_HEADERS:
            yield value
            yield value.partition(" ")[2]  # a key without the word before it
    for proxy in (*_proxies(connection, label), environment_proxy(address.geturl())):
        yield from proxy.secrets if proxy else ()


def _proxies(connection: Connection, label: str) -> Iterator[Proxy]:
    for name in ("proxies", "proxy"):
        proxies = connection.extra_dejson.get(name) or {}
        if not isinstance(proxies, dict):  # requests would pass over it, and post without a proxy
            raise ConfigurationError(
                f"{label}: field {name} (in extra) can't be used; allowed: an object of proxies by scheme, "
                '{"https": "http://host:port"}'
            )
        for proxy in proxies.values():
            yield Proxy.read(str(proxy), f"{label}: a proxy of field {name} (in extra)")


def _of_url(address: SplitResult) -> Iterator[str | None]:
    from requests.utils import requote_uri

    password = unquote(address.password or "")
    yield password
    yield from basic(unquote(address.username or ""), password)
    for part in (address.path, address.query):
        if len(part) > 1:
            yield part
            yield unquote(part)
            yield requote_uri(part)


def _headers(connection: Connection) -> Mapping[str, Any]:
    return {name: value for name, value in connection.extra_dejson.items() if name not in SETTINGS}


def _can_be_sent(text: str) -> bool:
    # header lines are cut at these; requests encodes them as Latin-1
    return all(char <= "\xff" and char not in "\r\n" for char in text)
