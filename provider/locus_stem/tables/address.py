"""Addresses of lakes: what they may look like, and which connection one of them names.

An Airflow connection stands before an ``@`` of its own: ``s3://aws_default@bucket/lake``. An address of Azure has one
already, between container and account, so there the connection is the first of three:
``abfss://wasb_default@container@account.dfs.core.windows.net/lake``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = ["LakeAddress", "LakeError", "LakeUnavailableError", "without_connection"]

ALLOWED = (
    "allowed are file:///absolute/folder, s3://bucket/folder, gs://bucket/folder and "
    "abfss://container@account.dfs.core.windows.net/folder, the last three with an Airflow connection and @ "
    "before the bucket or container where the environment's own keys are not meant"
)
CLOUD_SCHEMES = ("s3", "gs", "abfss")
CONNECTION_ID = re.compile(r"[\w.-]+", re.ASCII)


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

        :raises LakeError: it is none that a lake can have; keys that stand in it are not repeated
        """
        parts = urlsplit(uri)
        conn_id, place = _split(parts)
        if not parts.scheme:
            kind = "has no scheme" if uri.startswith("/") else "is a relative path"
            raise LakeError(f"lake {_shown(uri)!r} {kind}; {ALLOWED}")
        if parts.scheme not in {"file", *CLOUD_SCHEMES}:
            raise LakeError(f"lake {_shown(uri)!r}: scheme {parts.scheme!r} is unknown; {ALLOWED}")
        if conn_id is not None and not CONNECTION_ID.fullmatch(conn_id):
            raise LakeError(
                f"lake {parts.scheme}://…: keys don't belong into the address: what stands before the last @ must be "
                f"the id of an Airflow connection (letters, digits, _ . -); {ALLOWED}"
            )
        if parts.scheme == "file":
            _check_file(parts, _shown(uri))
        elif not place:
            raise LakeError(f"lake {_shown(uri)!r} names no bucket; {ALLOWED}")
        elif parts.scheme == "abfss" and not re.fullmatch(r"[^@]+@[^@]+\.[^@]+", place):
            raise LakeError(f"lake {_shown(uri)!r} names no container@account.…; {ALLOWED}")
        elif re.search("%[0-9A-Fa-f]{2}", parts.path):
            raise LakeError(
                f"lake {_shown(uri)!r}: % and two hex digits name one place to deltalake and another to pyarrow; "
                f"write the character itself; {ALLOWED}"
            )
        if parts.query or parts.fragment:
            raise LakeError(f"lake {_shown(uri).split('#', 1)[0]!r} is followed by ? or #; {ALLOWED}")
        path = unquote(parts.path) if parts.scheme == "file" else parts.path
        public = without_connection(uri)
        return cls(public.rstrip("/") or public, parts.scheme, conn_id, place, path.rstrip("/"))


def without_connection(uri: str) -> str:
    """Give the name of a lake or of something in it: its address without the connection; nothing else is checked."""
    parts = urlsplit(uri)
    if parts.scheme not in CLOUD_SCHEMES:
        return uri
    return uri.replace(f"//{parts.netloc}", f"//{_split(parts)[1]}", 1)


def _split(parts: SplitResult) -> tuple[str | None, str]:
    """Give connection and place of an address's authority."""
    own = 1 if parts.scheme == "abfss" else 0
    pieces = parts.netloc.rsplit("@", own + 1)
    if len(pieces) < own + 2:
        return None, parts.netloc
    return pieces[0], "@".join(pieces[1:])


def _shown(uri: str) -> str:
    return without_connection(uri).split("?", 1)[0]


def _check_file(parts: SplitResult, shown: str) -> None:
    if parts.netloc:
        raise LakeError(
            f"lake {shown!r} names the host {parts.netloc!r}; a folder has three slashes; {ALLOWED}"
        )
    if not parts.path.startswith("/"):
        raise LakeError(f"lake {shown!r} is a relative path; {ALLOWED}")
    if re.search("%[0-9A-Fa-f]{2}", unquote(parts.path)):
        raise LakeError(
            f"lake {shown!r}: deltalake can't open a folder whose name holds % and two hex digits; {ALLOWED}"
        )
