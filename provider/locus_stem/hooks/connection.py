"""From an Airflow connection to a vendor's credentials; what is wrong is named by connection and field.

No message shows what a field holds: a secret may have been put into the wrong one.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from locus_stem.api.credentials import LocusCredentials, StemCredentials
from locus_stem.api.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseHook, Connection


def locus_credentials(connection: Connection) -> LocusCredentials:
    """Read a connection of type ``locus``.

    :raises ConfigurationError: a field is missing or wrong; the message names connection and field.
    """
    fields = _Fields(connection, "locus")
    return LocusCredentials(
        **fields.host(),
        grant_type=fields.text("grant_type"),
        username=connection.login or None,
        password=connection.password or None,
        client_id=fields.text("client_id"),
        client_secret=fields.text("client_secret"),
        partner_id=fields.integer("partner_id"),
        timeout=fields.seconds("timeout", 60.0),
        allow_http=fields.flag("allow_http"),
        label=fields.label,
    ).validate()


def stem_credentials(connection: Connection) -> StemCredentials:
    """Read a connection of type ``stem``.

    :raises ConfigurationError: a field is missing or wrong; the message names connection and field.
    """
    fields = _Fields(connection, "stem")
    return StemCredentials(
        **fields.host(),
        api_key=connection.password or None,
        timeout=fields.seconds("timeout", 60.0),
        allow_http=fields.flag("allow_http"),
        label=fields.label,
    ).validate()


def defined(hook: BaseHook, conn_id: str, conn_type: str) -> Connection:
    """Find a connection.

    :raises ConfigurationError: there is none of this id.
    """
    try:
        return hook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise _undefined(conn_id, conn_type) from error


async def defined_async(conn_id: str, conn_type: str) -> Connection:
    """Find a connection from within an event loop, as triggers do.

    :raises ConfigurationError: there is none of this id.
    """
    from airflow.providers.common.compat.connection import get_async_connection

    try:
        return await get_async_connection(conn_id)
    except AirflowNotFoundException as error:
        raise _undefined(conn_id, conn_type) from error


def partner_of(credentials: LocusCredentials) -> int:
    """Give the account's partner id.

    :raises ConfigurationError: the connection has none.
    """
    if credentials.partner_id is None:
        raise ConfigurationError(
            f"{credentials.label}: field partner_id (in extra) is missing; "
            "set it to the number that your Locus Energy account manager gave you"
        )
    return credentials.partner_id


def _undefined(conn_id: str, conn_type: str) -> ConfigurationError:
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if os.environ.get(variable):  # Airflow 3.1 goes on as if it weren't there, and says why in the log alone
        return ConfigurationError(
            f"connection {conn_id!r}: Airflow can't read {variable}; it must hold a URI, or an object in JSON whose "
            f"conn_type is {conn_type!r} and whose extra is an object"
        )
    return ConfigurationError(
        f"connection {conn_id!r} is not defined: add it under Admin > Connections with the type {conn_type!r}, "
        f"or as {variable}"
    )


class _Fields:
    """A connection's fields, each refused by name where it has the wrong form."""

    def __init__(self, connection: Connection, conn_type: str) -> None:
        self.connection = connection
        self.label = f"connection {connection.conn_id!r}"
        if connection.conn_type != conn_type:
            raise ConfigurationError(f"{self.label} isn't of the type {conn_type!r}, which is needed")
        try:
            extra = json.loads(connection.extra or "{}")
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise ConfigurationError(f"{self.label}: field extra is not a JSON object")
        self.extra: dict[str, Any] = extra

    def host(self) -> dict[str, str]:
        host, schema, port = self.connection.host, self.connection.schema, self.connection.port
        if not host:
            return {}
        url = host if "://" in host else f"{schema or 'https'}://{host}"
        return {"host": f"{url}:{port}" if port else url}

    def text(self, name: str) -> str | None:
        value = self.extra.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def integer(self, name: str) -> int | None:
        value = self.extra.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not str(value).strip().isdecimal():
            raise self._wrong(name, "a whole number")
        return int(value)

    def seconds(self, name: str, default: float) -> float:
        value = self.extra.get(name)
        if value is None or value == "":
            return default
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = 0.0
        if isinstance(value, bool) or not 0 < seconds <= 3600:
            raise self._wrong(name, "a number of seconds above 0 and at most 3600")
        return seconds

    def flag(self, name: str) -> bool:
        value = self.extra.get(name)
        known = {True: True, False: False, "true": True, "false": False, "": False, None: False}
        key = value.strip().lower() if isinstance(value, str) else value
        if not isinstance(key, bool | str | None) or key not in known:
            raise self._wrong(name, "true or false")
        return known[key]

    def _wrong(self, name: str, allowed: str) -> ConfigurationError:
        return ConfigurationError(f"{self.label}: field {name} (in extra) can't be used; allowed: {allowed}")
