"""Which store a lake's address means, and those of Google and Azure, which no test has reached."""

from __future__ import annotations

import os
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs

from locus_stem.api.spellings import scrubbed, unmistakable
from locus_stem.tables.address import LakeError, LakeUnavailableError
from locus_stem.tables.environment_keys import environment_keys
from locus_stem.tables.s3 import S3Store, environment_session
from locus_stem.tables.s3_errors import without_colours
from locus_stem.tables.sas import signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from locus_stem.tables.address import LakeAddress
    from locus_stem.tables.lake import Store

__all__ = ["OtherStore", "azure_store", "environment_store", "google_store"]

#: What the stores answer where the address or the keys are wrong; anything else may pass.
FINAL_MARKS = (
    "NO_SUCH",
    "NOSUCH",
    "NOT_FOUND",
    "NOT FOUND",
    "ACCESS_DENIED",
    "ACCESS DENIED",
    "FORBIDDEN",
    "INVALID",
    "UNAUTHENTICATED",
    "AUTHENTICATIONFAILED",
    "CREDENTIALS",
    "HTTP STATUS 40",
)


def environment_store(address: LakeAddress, mask: Callable[[str], None] | None = None) -> Store:
    """Give the store of an address that names no connection: its keys are the environment's.

    :param mask: is told each secret before it is used
    """
    if address.scheme == "s3":
        return S3Store(address, lambda: environment_session(address), mask=mask)
    return OtherStore(
        address,
        dict,
        lambda: pyarrow.fs.FileSystem.from_uri(address.uri)[0],
        hidden=tuple(environment_keys(os.environ)),
    )


class OtherStore:
    """A store whose engines are told of keys by options, or find them by chains of their own.

    :param address: the lake's
    :param delta_options: gives deltalake's storage options
    :param filesystem: gives pyarrow's file system
    :param hidden: what no message may show beside the options: parts of keys, which stores may quote
    """

    def __init__(
        self,
        address: LakeAddress,
        delta_options: Callable[[], dict[str, str]],
        filesystem: Callable[[], pyarrow.fs.FileSystem],
        hidden: Sequence[str] = (),
    ) -> None:
        self.address, self._delta_options, self._filesystem = address, delta_options, filesystem
        self._hidden = hidden

    def delta_options(self) -> dict[str, str]:
        """Give deltalake's storage options."""
        return self._delta_options()

    def filesystem(self) -> pyarrow.fs.FileSystem:
        """Give pyarrow's file system."""
        return self._filesystem()

    def check(self) -> None:
        """Write a probe, look for a table, and remove the probe; see :class:`locus_stem.tables.lake.Store`."""
        from deltalake import DeltaTable

        name = f".probe-{uuid.uuid4().hex}"
        probe = f"{self.address.place.split('@')[0]}{self.address.path}/{name}"
        try:
            filesystem = self.filesystem()
            with filesystem.open_output_stream(probe) as stream:
                stream.write(b"probe")
            DeltaTable.is_deltatable(f"{self.address.uri}/{name}", self.delta_options())
            filesystem.delete_file(probe)
        except LakeUnavailableError:
            raise
        except (OSError, pa.ArrowException) as error:
            # a store may quote what it was sent: so no error has a cause, which would be shown with it
            said = scrubbed(without_colours(error), self._keys())
            if _is_final(said, self.address):
                raise LakeError(
                    f"lake {self.address.uri}: a file can't be written and removed there ({said}); correct the "
                    "address, or give its keys the right to list, read, write and delete"
                ) from None
            raise LakeUnavailableError(
                f"lake {self.address.uri}: the storage doesn't answer as it should ({said})"
            ) from None

    def _keys(self) -> list[str]:
        """Give the options that may be keys, and what else is hidden."""
        given = unmistakable([*self._delta_options().values(), *self._hidden])
        return [one for one in given if one not in self.address.uri]


def google_store(
    address: LakeAddress, key: Mapping[str, Any] | str, token: Callable[[], Any], hidden: Sequence[str] = ()
) -> OtherStore:
    """Give the store of a Google service account.

    :param key: its key, as JSON has it, or the path of the key's file
    :param token: gives google-auth's credentials with a token that is fresh
    :param hidden: what no message may show of the key
    """
    import json

    def options() -> dict[str, str]:
        if isinstance(key, str):
            return {"google_service_account": key}
        return {"google_service_account_key": json.dumps(dict(key))}

    def filesystem() -> pyarrow.fs.FileSystem:
        fresh = token()
        return pyarrow.fs.GcsFileSystem(access_token=fresh.token, credential_token_expiration=fresh.expiry)

    return OtherStore(address, options, filesystem, hidden)


def azure_store(address: LakeAddress, keys: Mapping[str, str]) -> OtherStore:
    """Give the store of an Azure account.

    :param keys: of ``account_key``, ``sas_token``, or ``tenant_id`` with ``client_id`` and ``client_secret``
    """
    account = address.place.partition("@")[2].partition(".")[0]
    options = {
        "azure_storage_account_name": account,
        **{f"azure_storage_{name}": value for name, value in keys.items()},
    }
    token = keys.get("sas_token", "")
    # pyarrow adds the token to the account's URL as it is; without ? it would be part of the path
    arrows = {**keys, "sas_token": f"?{token}"} if token else keys
    return OtherStore(
        address,
        lambda: options,
        lambda: pyarrow.fs.AzureFileSystem(account, **arrows),
        hidden=signatures(token),
    )


def _is_final(said: str, address: LakeAddress) -> bool:
    """Say whether no repetition helps after this answer; names of the address in it mean nothing."""
    account = address.place.partition("@")[2].partition(".")[0]
    names = {*address.place.split("@"), account, *address.path.split("/")} - {""}
    quoted = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    rest = re.sub(rf"(?<!\w)(?:{quoted})(?!\w)", "", unquote(said)).upper()
    return any(mark in rest for mark in FINAL_MARKS)
