"""How an answer leaves a task: through XCom where it is small, else as JSON lines at an address of the user's."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    BaseHook,
    ObjectStoragePath,
)

from locus_stem.xcom import json_bytes, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

#: Stores that take a whole object in one call: it appears when it is whole. Elsewhere a rename makes it so.
_PUT_IS_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "adl", "az", "wasb"})


def hand_over(
    answer: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    *,
    path: str | ObjectStoragePath | None,
    max_xcom_bytes: int,
    what: str,
) -> Any:
    """Give what a task returns for an answer.

    :param path: where to write it as JSON lines, an object a line; None or empty: nowhere.
    :param what: was asked, for the message.
    :return: without path the answer; else ``path`` and ``lines``, their number.
    :raises AirflowFailException: without path the answer is too large for XCom.
    """
    if path:
        objects = [answer] if hasattr(answer, "keys") else answer
        return {"path": address_of(path), "lines": write_lines(path, objects)}
    size = json_bytes(answer)
    if size <= max_xcom_bytes:  # a huge one isn't even copied
        answer = storable(answer)
        size = json_bytes(answer)
    if size > max_xcom_bytes:
        raise AirflowFailException(
            f"The answer of {what} takes {size} bytes of JSON, max_xcom_bytes is {max_xcom_bytes}. Give `path` "
            "(file:///folder/name.jsonl, s3://connection@bucket/name.jsonl) to have it written as JSON lines, or ask "
            "for less: a shorter period, fewer fields, or only some `keys`"
        )
    return answer


def check_path(path: str | ObjectStoragePath | None) -> None:
    """Refuse an address that another task could read otherwise, before anything is asked for.

    :raises ValueError: it is a relative path, a folder, of a store that isn't known, or names no connection that is.
    """
    if not path:
        return
    text = address_of(path)
    behind = text.partition("://")[2]
    conn_id = behind.partition("/")[0].rpartition("@")[0]
    if ":" in behind.rpartition("@")[0]:  # a secret can hold a slash
        raise ValueError(
            "path: keys in an address are refused; allowed: a connection, s3://connection@bucket/name"
        )
    if "://" not in text and not text.startswith("/"):
        raise ValueError(
            f"path: {text!r} is refused, it is relative; allowed: an absolute path or a URL, s3://…"
        )
    if text.endswith("/"):
        raise ValueError(f"path: {text!r} is refused, it is a folder; allowed: the address of one file")
    try:
        if conn_id:
            # A store's file system takes a missing connection for none, and asks without any key.
            BaseHook.get_connection(conn_id)
        ObjectStoragePath(path).fs  # noqa: B018 - made when it is asked for
    except (ValueError, AirflowNotFoundException) as error:
        raise ValueError(f"path: {text!r} is refused: {error}") from error


def address_of(path: str | ObjectStoragePath) -> str:
    """Write an address so that ``ObjectStoragePath`` reads it again, its connection included."""
    text = str(path)
    conn_id = getattr(path, "conn_id", None)
    scheme, separator, rest = text.partition("://")
    return f"{scheme}://{conn_id}@{rest}" if conn_id and separator and "@" not in rest else text


def write_lines(path: str | ObjectStoragePath, objects: Sequence[Mapping[str, Any]] | Any) -> int:
    """Write objects as JSON lines, whole or not at all; an older file of this name is replaced.

    :return: the number of lines.
    """
    lines = [json.dumps(storable(item), ensure_ascii=False) for item in objects]
    content = "".join(f"{line}\n" for line in lines).encode()
    with store_errors(path, "written"):
        _put(ObjectStoragePath(path), content)
    return len(lines)


@contextmanager
def store_errors(path: str | ObjectStoragePath, done: str) -> Iterator[None]:
    """Name the address in what its store raises; what another try can't change is final.

    :param done: what can't be done, ``written`` or ``read``.
    :raises AirflowFailException: there is no such bucket or file, or the connection may not.
    :raises OSError: anything else.
    """
    try:
        yield
    except Exception as error:
        what = f"path: {address_of(path)} can't be {done} ({type(error).__name__}: {error}); "
        if isinstance(error, FileNotFoundError):
            raise AirflowFailException(f"{what}check its bucket or folder, and its name") from error
        if isinstance(error, PermissionError):
            raise AirflowFailException(
                f"{what}check the connection's keys, and that they may read and write there; an address without a "
                "connection (s3://connection@bucket/name) is asked for with the worker's own credentials, or none"
            ) from error
        raise OSError(f"{what}check that the store can be reached from the worker") from error


class StoredFile:
    """A file to read, whose store's errors name it.

    :param path: as ``airflow.sdk.ObjectStoragePath`` takes it.
    """

    def __init__(self, path: str) -> None:
        self._address = path
        self._path = ObjectStoragePath(path)

    def __str__(self) -> str:
        return self._address

    @property
    def suffix(self) -> str:
        """The name's end."""
        return str(self._path.suffix)

    def open(self, mode: str) -> BinaryIO:
        """Open it for reading."""
        with store_errors(self._address, "read"):
            opened: BinaryIO = self._path.open(mode)  # type: ignore[no-untyped-call]
        return opened


def _put(target: ObjectStoragePath, content: bytes) -> None:
    if target.protocol in _PUT_IS_ATOMIC:
        target.fs.pipe_file(target.path, content)
        return
    filesystem, name = target.fs, str(target.path)
    filesystem.makedirs(name.rpartition("/")[0] or "/", exist_ok=True)
    temporary = f"{name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        filesystem.pipe_file(temporary, content)
        filesystem.mv(temporary, name)
    except BaseException:
        with suppress(OSError):
            filesystem.rm_file(temporary)
        raise
