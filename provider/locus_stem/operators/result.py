"""How an answer leaves a task: through XCom where it is small, else as JSON lines at an address of the user's."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Largest answer that goes through XCom, in bytes of JSON: it stands in Airflow's database and is read with each page.
MAX_XCOM_BYTES = 48 * 1024
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
    size = len(json.dumps(answer, ensure_ascii=False).encode())
    if size > max_xcom_bytes:
        raise AirflowFailException(
            f"The answer of {what} takes {size} bytes of JSON, max_xcom_bytes is {max_xcom_bytes}. Give `path` "
            "(file:///folder/name.jsonl, s3://connection@bucket/name.jsonl) to have it written as JSON lines, or ask "
            "for less: a shorter period, fewer fields, or only some `keys`"
        )
    return answer


def check_path(path: str | ObjectStoragePath | None) -> None:
    """Refuse an address that another task could read otherwise, before anything is asked for.

    :raises ValueError: it is a relative path, a folder, or of a store that isn't known.
    """
    if not path:
        return
    text = address_of(path)
    if "://" not in text and not text.startswith("/"):
        raise ValueError(
            f"path: {text!r} is refused, it is relative; allowed: an absolute path or a URL, s3://…"
        )
    if text.endswith("/"):
        raise ValueError(f"path: {text!r} is refused, it is a folder; allowed: the address of one file")
    try:
        ObjectStoragePath(path).fs  # noqa: B018 - made when it is asked for
    except ValueError as error:
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
    lines = [json.dumps(item, ensure_ascii=False) for item in objects]
    content = "".join(f"{line}\n" for line in lines).encode()
    target = ObjectStoragePath(path)
    if target.protocol in _PUT_IS_ATOMIC:
        target.fs.pipe_file(target.path, content)
        return len(lines)
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
    return len(lines)
