"""What failing storage means: what it says, in Arrow's words or Delta's, whether it may pass, and what to do."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from locus_stem.tables.address import LakeError, LakeUnavailableError
from locus_stem.tables.s3_errors import without_colours

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["storage_failure", "storage_failures"]

#: Nothing fits any more; files that are deleted make room.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Somebody must change the folder or its mount.
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
#: Disks and network file systems that fail, for a while or for good.
BROKEN = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ENODEV,
    errno.ENXIO,
    errno.EHOSTDOWN,
    errno.ETIMEDOUT,
}

#: How Rust and Arrow write the number of an error.
NUMBER = re.compile(r"os error (\d+)|errno (\d+)|Os \{ code: (\d+)")
#: How deltalake begins what an object store has done to it, and what it quotes of an answer before its body.
STORE = re.compile("Generic (S3|GCS|MicrosoftAzure) error")
STATUS = re.compile(r"\b[1-5]\d\d( [A-Z][A-Za-z]*)+")
#: What Arrow says of S3 before an answer's own words: a code, the action, and of no answer the cause.
S3_ERROR = re.compile(
    r"AWS Error (\w+(?: \(HTTP status \d+\))?|\[code \d+\]) during (\w+)(?: operation: curlCode: \d+, ([^;]+))?"
)
#: What it says where some of the objects that were to be deleted are refused; their keys and reasons follow.
UNDELETED = re.compile(r"Got the following \d+ errors when deleting objects in S3 bucket")


def storage_failure(uri: str, error: BaseException) -> LakeError | LakeUnavailableError | None:
    """Say what a failure of the storage means for a lake; None: it is another error.

    :param uri: the lake's address.
    """
    if isinstance(error, (LakeError, LakeUnavailableError)):
        return None
    number = error.errno if isinstance(error, OSError) and error.errno is not None else _number(str(error))
    if number in FULL:
        return LakeUnavailableError(
            f"lake {uri}: no space is left ({os.strerror(number)}). What is loaded and staged stays as it is: make "
            "room (lake_maintenance deletes old versions), then the task's next try, or the task when it is cleared, "
            "goes on where it stopped"
        )
    if number in CLOSED:
        return LakeError(
            f"lake {uri}: it is closed to this machine ({os.strerror(number)}). Give it access, or mount the folder "
            "for writing; then clear the task: it goes on where it stopped"
        )
    if number in BROKEN:
        return LakeUnavailableError(
            f"lake {uri}: the storage fails ({os.strerror(number)}). What is loaded and staged stays as it is: the "
            "task's next try, or the task when it is cleared, goes on where it stopped"
        )
    # of a commit that failed another writer may be the cause, which the store says too
    of_a_store = any(one.search(str(error)) for one in (STORE, S3_ERROR, UNDELETED))
    if of_a_store and not isinstance(error, CommitFailedError):
        return LakeUnavailableError(
            f"lake {uri}: the store can't be reached, or fails ({_reason(error)}). What is loaded and staged stays as "
            "it is: the task's next try, or the task when it is cleared, goes on where it stopped"
        )
    return None


@contextmanager
def storage_failures(uri: str) -> Iterator[None]:
    """Let failures of the storage be errors that name the lake and what to do.

    :raises LakeError: it is closed to this machine.
    :raises LakeUnavailableError: it is full, or fails; later it may work.
    """
    try:
        yield
    except (OSError, DeltaError, pa.ArrowException) as error:
        meant = storage_failure(uri, error)
        if meant is None:
            raise
        raise meant from error


def _reason(error: BaseException) -> str:
    """Give a store's status, else why it isn't reached: an answer's body may hold the keys that were sent."""
    said = without_colours(error)
    if arrows := S3_ERROR.search(said):
        code, action, cause = arrows.groups()
        return f"{cause or code} at {action}"
    if UNDELETED.search(said):
        return "objects can't be deleted"
    status = STATUS.search(said)
    if status is not None:
        return status[0]
    return re.split("↳ |: ", said)[-1] if "HTTP error" in said else "it doesn't say why"


def _number(text: str) -> int | None:
    found = NUMBER.search(text)
    return int(next(group for group in found.groups() if group)) if found else None
