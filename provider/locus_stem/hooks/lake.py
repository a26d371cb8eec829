"""From a lake's address, and the Airflow connection that it may name, to the lake; keys are looked up in the task."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseHook

from locus_stem.api.errors import ConfigurationError
from locus_stem.api.spellings import scrubbed, unmistakable
from locus_stem.config import default_lake_uri
from locus_stem.hooks.connection import defined
from locus_stem.hooks.masking import mask, quieten_aws
from locus_stem.tables.address import LakeAddress, LakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow.providers.common.compat.sdk import Connection

    from locus_stem.tables.lake import Lake, Store

__all__ = ["open_lake"]

#: Types of connection that each kind of address may name; the first is the usual one.
TYPES: Mapping[str, tuple[str, ...]] = {
    "s3": ("aws",),
    "gs": ("google_cloud_platform",),
    "abfss": ("wasb", "adls"),
}
#: Words of Airflow's Amazon provider, which say what is wrong.
KNOWN = {"assume_role", "assume_role_with_saml", "assume_role_with_web_identity"}
#: Fields of an extra for AWS by the kind of JSON that they are.
OBJECTS = ("service_config", "config_kwargs", "session_kwargs", "assume_role_kwargs")
TEXTS = (
    "region_name",
    "endpoint_url",
    "profile_name",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "assume_role_method",
)


def open_lake(uri: str | None = None) -> Lake:
    """Open a lake in a task: ``open_lake().read("coverage")``.

    Its keys are those of the connection that the address names, ``s3://aws_default@bucket/lake``, else the
    environment's own. They are masked in logs, and renewed while the lake is used where they end; the lake's ``uri``
    doesn't name the connection.

    :param uri: its address; None: ``[locus_stem] lake_uri``.
    :raises LakeError: the address or its connection is wrong, or a package is missing; the message says which.
    """
    from locus_stem.tables.environment_keys import environment_keys
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.stores import environment_store

    address = LakeAddress.parse(uri or default_lake_uri())
    if address.scheme == "file":
        return Lake(address.uri)
    if address.scheme == "s3":
        quieten_aws()
    if address.conn_id is None:
        mask(*environment_keys(os.environ))
        return Lake(address.uri, environment_store(address, mask))
    return Lake(address.uri, _store(address, _connection(address, address.conn_id)))


def _connection(address: LakeAddress, conn_id: str) -> Connection:
    types = TYPES[address.scheme]
    try:
        connection = defined(BaseHook(), conn_id, types[0])
    except ConfigurationError as error:
        raise LakeError(f"lake {address.uri}: {error}") from error
    if connection.conn_type not in types:
        raise LakeError(
            f"lake {address.uri}: connection {conn_id!r} isn't of the type {' or '.join(map(repr, types))}, which is "
            "needed"
        )
    return connection


def _store(address: LakeAddress, connection: Connection) -> Store:
    label = f"connection {connection.conn_id!r}"
    make: Callable[..., Store] = {"s3": _s3, "gs": _google, "abfss": _azure}[address.scheme]
    try:
        return make(address, connection, label)
    except LakeError:
        raise
    except (AirflowException, AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _unusable(address, connection, error) from None


def _s3(address: LakeAddress, connection: Connection, label: str) -> Store:
    """Let Airflow's Amazon provider read the connection: keys, profiles and roles, in whichever way it takes them."""
    try:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise LakeError(
            f"lake {address.uri}: {label} needs Airflow's Amazon provider: pip install "
            "'airflow-provider-locus-stem[s3]'"
        ) from error
    from locus_stem.tables.s3 import S3Store, refuse_blanks

    extra = _extra(address, connection)
    _refuse_other_json(address, label, extra)
    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=connection.conn_id, client_type="s3")
    try:
        fields = hook.conn_config
    except BotoCoreError as error:
        raise _unusable(address, connection, error) from None
    if fields.verify not in {None, True}:
        raise LakeError(
            f"lake {address.uri}: field verify (in extra) of {label} can't be kept to: certificates are checked, "
            "against the authorities that the machine trusts; add yours there"
        )
    if (fields.botocore_config and fields.botocore_config.signature_version) is not None:
        raise LakeError(f"lake {address.uri}: {label} can't have another signature_version than S3's own, v4")
    s3 = (fields.botocore_config and getattr(fields.botocore_config, "s3", None)) or {}
    allow_http = fields.extra_config.get("allow_http")

    def session() -> Any:
        keys = (fields.aws_access_key_id, fields.aws_secret_access_key, fields.aws_session_token)
        refuse_blanks(address, label, *keys)  # a role is asked for with them
        try:
            return hook.get_session(region_name=fields.region_name)
        except AirflowException as error:
            raise _unusable(address, connection, error) from None

    return S3Store(
        address,
        session,
        label=label,
        region=fields.region_name,
        endpoint=fields.get_service_endpoint_url("s3"),
        virtual=s3["addressing_style"] == "virtual" if "addressing_style" in s3 else None,
        allow_http=None if allow_http is None else str(allow_http).lower() == "true",
        mask=mask,
        hidden=_hidden(address, connection),
    )


def _refuse_other_json(address: LakeAddress, label: str, extra: Mapping[str, Any]) -> None:
    """Look at the kind of what an extra for AWS holds: what reads it later fails at another in its own words."""
    for name in OBJECTS:
        if not isinstance(extra.get(name) or {}, dict):
            raise LakeError(
                f"lake {address.uri}: field {name} (in extra) of {label} can't be used; allowed: a JSON object"
            )
    services = (extra.get("service_config") or {}).values()
    for fields in (extra, extra.get("session_kwargs") or {}, *services):
        for name in TEXTS:
            if isinstance(fields, dict) and not isinstance(fields.get(name), str | None):
                raise LakeError(
                    f"lake {address.uri}: field {name} (in extra) of {label} can't be used; allowed: text in quotes"
                )


def _google(address: LakeAddress, connection: Connection, label: str) -> Store:
    from locus_stem.hooks.google_key import fresh_token, private_parts, service_key
    from locus_stem.tables.stores import google_store

    key, path = service_key(address, label, _extra(address, connection))
    hidden = private_parts(key)
    mask(*hidden)

    def token() -> Any:
        found = fresh_token(address, label, key, hidden)
        mask(found.token)
        return found

    return google_store(address, path or key, token, hidden)


def _azure(address: LakeAddress, connection: Connection, label: str) -> Store:
    from locus_stem.tables.sas import signatures
    from locus_stem.tables.stores import azure_store

    extra, password = _extra(address, connection), connection.password
    keys: dict[str, str | None]
    if extra.get("tenant_id"):
        keys = {
            "tenant_id": extra["tenant_id"],
            "client_id": connection.login,
            "client_secret": password,
        }
    elif extra.get("sas_token"):
        keys = {"sas_token": str(extra["sas_token"]).rpartition("?")[2]}
    else:
        keys = {"account_key": password or extra.get("shared_access_key")}
    if missing := [name for name, value in keys.items() if not value]:
        raise LakeError(
            f"lake {address.uri}: {label} lacks {', '.join(missing)}: it needs the account's key as password, or "
            "sas_token in extra, or tenant_id in extra with login and password of an application"
        )
    found = {name: str(value) for name, value in keys.items()}
    for name in {"account_key", "sas_token", "client_secret"} & found.keys():
        mask(found[name], *signatures(found[name]))
    if "account_key" in found and not _is_base64(found["account_key"]):
        raise LakeError(
            f"lake {address.uri}: field {'password' if password else 'shared_access_key (in extra)'} of {label} can't "
            "be used; allowed: the account's key, which is base64"
        )
    return azure_store(address, found)


def _is_base64(key: str) -> bool:
    """Say whether both engines can read a key: deltalake takes no spelling but the usual one."""
    try:
        return b64encode(b64decode(key, validate=True)).decode() == key
    except ValueError:
        return False


def _extra(address: LakeAddress, connection: Connection) -> dict[str, Any]:
    """Give the extra's fields, without the prefix that older forms gave them."""
    try:
        fields = json.loads(connection.extra or "{}")
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise LakeError(
            f"lake {address.uri}: connection {connection.conn_id!r}: field extra is not a JSON object"
        )
    return {name.rpartition("__")[2]: value for name, value in fields.items()}


def _unusable(address: LakeAddress, connection: Connection, error: Exception) -> LakeError:
    """Say what another package finds wrong with a connection, without what its fields hold.

    It is raised from None: a cause would be shown with the fields.
    """
    said = scrubbed(str(error), _hidden(address, connection))
    return LakeError(f"lake {address.uri}: connection {connection.conn_id!r} can't be used: {said}")


def _hidden(address: LakeAddress, connection: Connection) -> list[str]:
    """Give what the extra's fields hold, for a secret may have been put into any.

    A region and an endpoint that are such can be shown, and what is short stands in other words too.
    """
    return [
        text
        for text in unmistakable(_texts(_extra(address, connection)))
        if text not in KNOWN and text not in address.uri
    ]


def _texts(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from _texts(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str) and not _can_be_shown(name, value):
        yield value
        if name == "endpoint_url":  # what is wrong with it quotes a part
            yield from re.split("[/:@?&=]+", value)


def _can_be_shown(name: str, value: str) -> bool:
    from locus_stem.tables.s3 import REGION, without_login

    if name == "endpoint_url":
        try:
            without_login(value)
        except ValueError:
            return False
        return True
    return name == "region_name" and REGION.fullmatch(value) is not None
