"""What is needed to ask a vendor's API; secrets never show in repr, nor in an error what a field holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, Self, cast
from urllib.parse import SplitResult, urlsplit

import httpx

from locus_stem.api.errors import ConfigurationError
from locus_stem.api.spellings import basic

GrantType = Literal["password", "client_credentials", "bearer"]
LOCUS_HOST = "https://api.locusenergy.com"
STEM_HOST = "https://app.stem.com"

_NEEDED: dict[GrantType, tuple[str, ...]] = {
    "password": ("username", "password", "client_id", "client_secret"),
    "client_credentials": ("client_id", "client_secret"),
    "bearer": ("password",),
}
#: Fields that are called otherwise in a connection's form.
_SHOWN = {"username": "login", "api_key": "password (the API key)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocusCredentials:
    """Credentials of a Locus Energy account.

    :param host: URL of the API, without the `/v3`.
    :param grant_type: OAuth grant; None: password where there is a username, else client_credentials.
        ``bearer`` sends `password` as a fixed token.
    :param username: SolarNOC user; with its `password` for the password grant.
    :param partner_id: the account's partner, for callers: no request takes it by itself.
    :param timeout: longest time for one request from connecting to its answer's last byte, in seconds.
    :param allow_http: send secrets without TLS to a host that isn't this machine.
    :param label: where the credentials come from, for messages: ``connection 'locus_default'``.
    """

    host: str = LOCUS_HOST
    grant_type: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    partner_id: int | None = None
    timeout: float = 60.0
    allow_http: bool = False
    label: str = "credentials"

    @property
    def grant(self) -> GrantType:
        """The grant in effect."""
        return cast("GrantType", self.grant_type or ("password" if self.username else "client_credentials"))

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What no log and no error may hold."""
        logins = (*basic(self.username, self.password), *basic(self.client_id, self.client_secret))
        return (self.password, self.client_secret, *logins)

    def validate(self) -> Self:
        """Check every field; nothing is sent.

        :raises ConfigurationError: names label and field.
        """
        _check_transport(self.label, self.host, self.timeout, self.allow_http)
        if self.grant not in _NEEDED:
            raise _wrong(self.label, "grant_type", f"can't be used; allowed: {', '.join(_NEEDED)}, or empty")
        for name in _NEEDED[self.grant]:
            if not getattr(self, name):
                raise _wrong(self.label, name, f"is missing; grant_type {self.grant} requires it")
            _check_text(self.label, name, getattr(self, name))
        if self.grant == "bearer":
            _check_key(self.label, "password", self.password)
        if self.partner_id is not None and (isinstance(self.partner_id, bool) or self.partner_id < 1):
            raise _wrong(self.label, "partner_id", "can't be used; allowed: a whole number above 0")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class StemCredentials:
    """Credentials of a Stem account.

    :param host: URL of the API, without the `/api/v1`.
    :param api_key: developer API token, given by Stem's support.
    :param timeout: longest time for one request from connecting to its answer's last byte, in seconds.
    :param allow_http: send the key without TLS to a host that isn't this machine.
    :param label: where the credentials come from, for messages: ``connection 'stem_default'``.
    """

    host: str = STEM_HOST
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    allow_http: bool = False
    label: str = "credentials"

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What no log and no error may hold."""
        return (self.api_key,)

    def validate(self) -> Self:
        """Check every field; nothing is sent.

        :raises ConfigurationError: names label and field.
        """
        _check_transport(self.label, self.host, self.timeout, self.allow_http)
        if not self.api_key:
            raise _wrong(self.label, "api_key", "is missing")
        _check_key(self.label, "api_key", self.api_key)
        return self


def field_title(name: str) -> str:
    """Name a field as a connection's form does."""
    return _SHOWN.get(name, name)


def _wrong(label: str, name: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{label}: field {field_title(name)} {problem}")


def _check_transport(label: str, host: str, timeout: float, allow_http: bool) -> None:
    url, problem = _split(host)
    if url is None or problem:
        raise _wrong(label, "host", problem)
    if url.scheme == "http" and not allow_http and not _is_loopback(url.hostname or ""):
        raise _wrong(
            label,
            "host",
            "is plain http, which would send secrets readable; use https, or set extra allow_http",
        )
    if isinstance(timeout, bool) or not math.isfinite(timeout) or timeout <= 0:
        raise _wrong(label, "timeout", "can't be used; allowed: seconds, a number above 0")


def _split(host: str) -> tuple[SplitResult | None, str]:
    try:
        url = urlsplit(host)
        port = url.port
        httpx.URL(host)
    except (ValueError, httpx.InvalidURL):
        return None, "is not a URL; allowed: https://HOST or https://HOST:PORT"
    if (
        url.scheme not in {"http", "https"}
        or not url.hostname
        or port == 0
        or not host.isprintable()
        or " " in host
    ):
        return url, "is not a URL; allowed: https://HOST or https://HOST:PORT"
    if url.username is not None or url.password is not None:
        return url, "holds a user or password; they have fields of their own"
    if url.query or url.fragment:
        return url, "holds a query or fragment; allowed: https://HOST or https://HOST:PORT"
    return url, ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _check_text(label: str, name: str, text: str) -> None:
    # JSON can hold halves of characters, which can't be sent
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _wrong(label, name, "holds a character that can't be sent; copy it again")


def _check_key(label: str, name: str, key: str | None) -> None:
    # goes into a header as it is
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise _wrong(label, name, "holds a space or a character that no key has; copy it again")
