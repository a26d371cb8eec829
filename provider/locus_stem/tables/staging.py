"""Staging between extract and load: Parquet parts and their manifests under ``{lake}/_staging/{plan_id}/``.

A part is written first, then its manifest, which is the mark that it is whole. A part without manifest is
never read.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from locus_stem.tables.storage_failures import storage_failures

if TYPE_CHECKING:
    from datetime import datetime

    from locus_stem.tables.lake import Lake

__all__ = ["BatchStaging", "Staging", "StagingError", "oldest_staged", "remove_abandoned", "remove_staging"]

FOLDER = "_staging"
#: The file that describes a plan, and without which nothing of it is read.
PLAN = "plan.json"
# Row groups of about one entity's month let a load read some entities of a part without the others.
ROW_GROUP_ROWS = 65_536


class StagingError(RuntimeError):
    """Something staged isn't there, or can't be read on this machine."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging folder of one plan."""

    lake: Lake
    plan_id: str

    @classmethod
    def at(cls, lake: Lake, uri: str) -> Staging:
        """Return the staging whose ``uri`` another task was given.

        :raises StagingError: the address isn't in this lake
        """
        inside = f"{lake.uri}/{FOLDER}/"
        if not uri.startswith(inside):
            raise StagingError(
                f"staging {uri!r} isn't in the lake {lake.uri}: all tasks of a run need the same lake, see "
                "[locus_stem] lake_uri"
            )
        return cls(lake, uri.removeprefix(inside))

    @property
    def uri(self) -> str:
        """The folder's address; letters that not every file system takes are replaced."""
        return f"{self.lake.uri}/{self._folder()}"

    def batch(self, number: int) -> BatchStaging:
        """Return the staging of one batch of the plan."""
        return BatchStaging(self, number)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as a file of the plan, whole or not at all."""
        _write(self.lake, f"{self._folder()}/{name}", json.dumps(value).encode())

    def read_json(self, name: str) -> Any:
        """Return a file's value.

        :raises StagingError: the file isn't there
        """
        filesystem, base = self.lake.filesystem()
        try:
            with filesystem.open_input_stream(f"{base}/{self._folder()}/{name}") as stream:
                return json.loads(stream.read())
        except FileNotFoundError as error:
            raise self._unseen(name) from error

    def remove(self) -> None:
        """Delete everything of the plan; nothing is fine too.

        Its description goes first: whoever is killed in between leaves nothing that could be taken for a whole plan.
        """
        filesystem, base = self.lake.filesystem()
        with storage_failures(self.lake.uri):
            with suppress(FileNotFoundError):
                filesystem.delete_file(f"{base}/{self._folder()}/{PLAN}")
            with suppress(FileNotFoundError):
                filesystem.delete_dir(f"{base}/{self._folder()}")

    def _folder(self) -> str:
        return f"{FOLDER}/{_safe(self.plan_id)}"

    def _unseen(self, name: str) -> StagingError:
        return StagingError(
            f"{name} isn't in {self.uri}. Either the plan was removed (clear the run's plan task), or this "
            "machine doesn't see the folder where it was staged: with several machines the lake must be on "
            "shared storage (s3://…, or one mounted folder), see [locus_stem] lake_uri"
        )


def remove_staging(lake: Lake, prefix: str) -> None:
    """Delete the staging folders of all plans whose name begins with a prefix."""
    filesystem, base = lake.filesystem()
    selector = pyarrow.fs.FileSelector(f"{base}/{FOLDER}", allow_not_found=True)
    for info in filesystem.get_file_info(selector):
        if info.base_name.startswith(prefix):
            Staging(lake, info.base_name).remove()


def remove_abandoned(lake: Lake, before: datetime) -> dict[str, int]:
    """Delete the staging folders in which nothing was written since an instant; return their bytes by name."""
    filesystem, base = lake.filesystem()
    selector = pyarrow.fs.FileSelector(f"{base}/{FOLDER}", allow_not_found=True)
    removed = {}
    for info in filesystem.get_file_info(selector):
        if info.type != pyarrow.fs.FileType.Directory:
            continue
        held = filesystem.get_file_info(pyarrow.fs.FileSelector(info.path, recursive=True))
        files = [one for one in held if one.type == pyarrow.fs.FileType.File]
        # An object store has no time of a folder, and none without files.
        written = [one.mtime for one in files or [info] if one.mtime is not None]
        if written and max(written) < before:
            Staging(lake, info.base_name).remove()
            removed[info.base_name] = sum(one.size or 0 for one in files)
    return removed


def oldest_staged(lake: Lake) -> datetime | None:
    """Return when the oldest file of all staging was written, None without any: no answer in it is older."""
    filesystem, base = lake.filesystem()
    selector = pyarrow.fs.FileSelector(f"{base}/{FOLDER}", recursive=True, allow_not_found=True)
    held = [one for one in filesystem.get_file_info(selector) if one.type == pyarrow.fs.FileType.File]
    return min((one.mtime for one in held if one.mtime is not None), default=None)


@dataclass(frozen=True, slots=True)
class BatchStaging:
    """The staging folder of one batch: numbered manifests, each with the part that it vouches for."""

    staging: Staging
    number: int

    def commit_part(self, rows: pa.Table | None, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write rows as a part, then its manifest; return the manifest with ``part``, a URI or None.

        The name of a part is its own, so that a try that was given up and still writes can't change what
        another try's manifest vouches for.
        """
        lake = self.staging.lake
        place, mark = len(self._manifest_paths()), uuid.uuid4().hex[:8]
        part = None
        if rows is not None:
            sink = pa.BufferOutputStream()
            pq.write_table(rows, sink, row_group_size=ROW_GROUP_ROWS)
            path = f"{self._folder()}/part-{place:05d}-{mark}.parquet"
            _write(lake, path, sink.getvalue())
            part = f"{lake.uri}/{path}"
        whole = {**manifest, "part": part}
        _write(lake, f"{self._folder()}/manifest-{place:05d}-{mark}.json", json.dumps(whole).encode())
        return whole

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests in the order in which they were committed.

        :raises StagingError: the plan's folder can't be seen from this machine
        """
        filesystem, _ = self.staging.lake.filesystem()
        found = []
        for path in self._manifest_paths():
            with filesystem.open_input_stream(path) as stream:
                found.append(json.loads(stream.read()))
        return found

    def _manifest_paths(self) -> list[str]:
        filesystem, base = self.staging.lake.filesystem()
        batch = filesystem.get_file_info(
            pyarrow.fs.FileSelector(f"{base}/{self._folder()}", allow_not_found=True)
        )
        if not batch:  # only then is the plan's folder looked at, which may hold a thousand batches
            plan = pyarrow.fs.FileSelector(f"{base}/{self.staging._folder()}", allow_not_found=True)
            if not filesystem.get_file_info(plan):
                raise self.staging._unseen(f"batch {self.number}")
        return sorted(info.path for info in batch if re.fullmatch(r"manifest-\d+-\w+\.json", info.base_name))

    def _folder(self) -> str:
        return f"{self.staging._folder()}/{self.number:05d}"


def _safe(name: str) -> str:
    """Return a name that every file system takes; a name that is safe already stays as it is."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    if safe == name and name.strip("."):
        return name
    return f"{safe.strip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _write(lake: Lake, path: str, content: bytes | pa.Buffer) -> None:
    """Write a file whole or not at all: a put is atomic on object stores, a rename on file systems."""
    filesystem, base = lake.filesystem()
    target = f"{base}/{path}"
    if not isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        with filesystem.open_output_stream(target) as stream:
            stream.write(content)
        return
    temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
    with storage_failures(lake.uri):
        filesystem.create_dir(target.rsplit("/", 1)[0])
        try:
            with filesystem.open_output_stream(temporary) as stream:
                stream.write(content)
            filesystem.move(temporary, target)
        except BaseException:
            with suppress(OSError):  # half a file takes room, too
                filesystem.delete_file(temporary)
            raise
