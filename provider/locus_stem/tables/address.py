"""Addresses of lakes: what they may look like, and which connection one of them names.

An Airflow connection stands before an ``@`` of its own: ``s3://aws_default@bucket/lake``. An address of Azure has one
already, between container and account, so there the connection is the first of three:
``abfss://wasb_default@container@account.dfs.core.windows.net/lake``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

__all__ = ["LakeAddress", "LakeError", "LakeUnavailableError"]

ALLOWED = (
    "allowed are file:///absolute/folder, s3://bucket/folder, gs://bucket/folder and "
    "abfss://container@account.dfs.core.windows.net/folder, the last three with an Airflow connection and @ "
    "before the bucket or container where the environment's own keys are not meant"
)
CLOUD_SCHEMES = ("s3", "gs", "abfss")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.ASCII | re.IGNORECASE)
CONNECTION_ID = re.compile(r"[\w.-]+", re.ASCII)
#: Azure's keys end in =, which no container's name holds.
CONTAINER = re.compile(r"[\w$-]+", re.ASCII)
HEX = re.compile("%[0-9A-Fa-f]{2}")
#: deltalake panics at the first five; control characters it leaves out or refuses, where pyarrow keeps them.
UNFIT = re.compile(r"[\[\]|\\^\x00-\x1f\x7f]")


class LakeError(ValueError):
    """The lake can't be used; the message names its address, what is wrong and what is allowed."""


class LakeUnavailableError(OSError):
    """The lake's storage fails; later it may work."""


@dataclass(frozen=True, slots=True)
class LakeAddress:
    """A lake's address, in parts.

    :param uri: the lake's name everywhere: without the connection, so that it stays when the connection changes
    :param scheme: file, s3, gs or abfss
    :param conn_id: the Airflow connection that it names
    :param place: bucket, or container@account
    :param path: the folder, with a slash before it and none behind; of files decoded
    """

    uri: str
    scheme: str
    conn_id: str | None
    place: str
    path: str

    @classmethod
    def parse(cls, uri: str) -> LakeAddress:
        """Take an address apart.

        :raises LakeError: it is none that a lake can have; one in which keys can stand isn't repeated
        """
        found = SCHEME.match(uri)
        if found is None:
            shown = "…" if re.search("[@:]", uri) else repr(uri)
            kind = "has no scheme with ://" if uri.startswith("/") or ":" in uri else "is a relative path"
            raise LakeError(f"lake {shown} {kind}; {ALLOWED}")
        scheme, behind = found[1].lower(), uri[found.end() :]
        if scheme == "file":
            return cls._file(behind)
        if scheme in CLOUD_SCHEMES:
            return cls._cloud(scheme, behind)
        raise LakeError(f"lake {scheme}://…: scheme {scheme!r} is unknown; {ALLOWED}")

    @classmethod
    def _file(cls, behind: str) -> LakeAddress:
        host, path, more = _parts(behind)
        if host and re.search("[@:]", behind):
            raise LakeError(f"lake file://… names a host; a folder has three slashes; {ALLOWED}")
        shown = repr(f"file://{host}{path}")
        if host:
            raise LakeError(f"lake {shown} names the host {host!r}; a folder has three slashes; {ALLOWED}")
        if not path:
            raise LakeError(f"lake {shown} is a relative path; {ALLOWED}")
        if HEX.search(unquote(path)):
            raise LakeError(
                f"lake {shown}: deltalake can't open a folder whose name holds % and two hex digits; {ALLOWED}"
            )
        if more:
            raise LakeError(f"lake {shown} is followed by ? or #; {ALLOWED}")
        return cls(f"file://{path.rstrip('/')}", "file", None, "", unquote(path).rstrip("/"))

    @classmethod
    def _cloud(cls, scheme: str, behind: str) -> LakeAddress:
        conn_id, behind = _without_connection(scheme, behind)
        place, path, more = _parts(behind)
        shown = repr(f"{scheme}://{place}{path}")
        if not place:
            raise LakeError(f"lake {shown} names no bucket; {ALLOWED}")
        if scheme == "abfss" and not re.fullmatch(r"[^@]+@[^@]+\.[^@]+", place):
            raise LakeError(f"lake {shown} names no container@account.…; {ALLOWED}")
        if HEX.search(path):
            raise LakeError(
                f"lake {shown}: % and two hex digits name one place to deltalake and another to pyarrow; "
                f"write the character itself; {ALLOWED}"
            )
        if more:
            raise LakeError(f"lake {shown} is followed by ? or #; {ALLOWED}")
        path = path.rstrip("/")
        if UNFIT.search(path):
            raise LakeError(
                f"lake {shown}: a folder's name can't hold [ ] | \\ ^ or a control character, which deltalake and "
                f"pyarrow don't both take; {ALLOWED}"
            )
        if {"", ".", ".."} & set(path.split("/")[1:]):
            raise LakeError(
                f"lake {shown}: a folder's name can't be empty, . or .., which deltalake and pyarrow don't both take; "
                f"{ALLOWED}"
            )
        return cls(f"{scheme}://{place}{path}", scheme, conn_id, place, path)


def _without_connection(scheme: str, behind: str) -> tuple[str | None, str]:
    """Give the connection of an address in a cloud, and the rest.

    A secret can hold a slash: so what stands before any ``@``, in the folder too, must be a connection or a container.

    :raises LakeError: keys can stand in it
    """
    *before, last = behind.split("@")
    container = before.pop() if before and scheme == "abfss" else None
    if (
        len(before) > 1
        or not all(map(CONNECTION_ID.fullmatch, before))
        or (container is not None and not CONTAINER.fullmatch(container))
        or ":" in _parts(last)[0]
    ):
        raise LakeError(
            f"lake {scheme}://…: keys don't belong into the address: what stands before the last @ must be "
            "the id of an Airflow connection (letters, digits, _ . -), of Azure the container, and no folder has an @; "
            f"{ALLOWED}"
        )
    return (before[0] if before else None), last if container is None else f"{container}@{last}"


def _parts(behind: str) -> tuple[str, str, str]:
    """Give what stands before the first slash, the path, and what follows it from ? or # on."""
    named = re.split("[?#]", behind, maxsplit=1)[0]
    place, slash, path = named.partition("/")
    return place, slash + path, behind[len(named) :]
