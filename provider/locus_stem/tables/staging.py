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

if TYPE_CHECKING:
    from collections.abc import Callable
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

    @classmethod
    def of_turns(cls, lake: Lake, run_scope: str) -> Staging:
        """Return where the turns and tries of a run's task note what the next one needs.

        :param run_scope: see :func:`locus_stem.pipelines.plan.scope`; removed with the run's staging
        """
        return cls(lake, f"{run_scope}.turns")

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
        try:
            with (
                self.lake.files() as (filesystem, base),
                filesystem.open_input_stream(f"{base}/{self._folder()}/{name}") as stream,
            ):
                return json.loads(stream.read())
        except FileNotFoundError as error:
            raise self._unseen(name) from error

    def rewritten(self, part: str, work: Callable[[pa.Table], pa.Table]) -> str:
        """Write a part anew as another file, and return its address; the part itself stays."""
        with self.lake.files() as (filesystem, base):
            rows = pq.read_table(base + part.removeprefix(self.lake.uri), filesystem=filesystem)
        path = f"{part.removeprefix(self.lake.uri + '/').removesuffix('.parquet')}-{uuid.uuid4().hex[:8]}.parquet"
        return _write_rows(self.lake, path, work(rows))

    def remove(self) -> None:
        """Delete everything of the plan; nothing is fine too.

        Its description goes first: whoever is killed in between leaves nothing that could be taken for a whole plan.
        """
        with self.lake.files() as (filesystem, base):
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
    for info in _listed(lake, FOLDER):
        if info.base_name.startswith(prefix):
            Staging(lake, info.base_name).remove()


def remove_abandoned(lake: Lake, before: datetime) -> dict[str, int]:
    """Delete the staging folders in which nothing was written since an instant; return their bytes by name."""
    removed = {}
    for info in _listed(lake, FOLDER):
        if info.type != pyarrow.fs.FileType.Directory:
            continue
        files = [one for one in _listed(lake, f"{FOLDER}/{info.base_name}", recursive=True) if one.is_file]
        # An object store has no time of a folder, and none without files.
        written = [one.mtime for one in files or [info] if one.mtime is not None]
        if written and max(written) < before:
            Staging(lake, info.base_name).remove()
            removed[info.base_name] = sum(one.size or 0 for one in files)
    return removed


def oldest_staged(lake: Lake) -> datetime | None:
    """Return when the oldest file of all staging was written, None without any: no answer in it is older."""
    held = [one for one in _listed(lake, FOLDER, recursive=True) if one.is_file]
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
            part = _write_rows(lake, f"{self._folder()}/part-{place:05d}-{mark}.parquet", rows)
        whole = {**manifest, "part": part}
        _write(lake, f"{self._folder()}/manifest-{place:05d}-{mark}.json", json.dumps(whole).encode())
        return whole

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests in the order in which they were committed.

        :raises StagingError: the plan's folder can't be seen from this machine
        """
        found = []
        with self.staging.lake.files() as (filesystem, _):
            for path in self._manifest_paths():
                with filesystem.open_input_stream(path) as stream:
                    found.append(json.loads(stream.read()))
        return found

    def _manifest_paths(self) -> list[str]:
        lake = self.staging.lake
        batch = _listed(lake, self._folder())
        # Only without any is the plan's folder looked at, which may hold a thousand batches.
        if not batch and not _listed(lake, self.staging._folder()):
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


def _listed(lake: Lake, folder: str, *, recursive: bool = False) -> list[pyarrow.fs.FileInfo]:
    """List what a folder of the lake holds; one that isn't there holds nothing."""
    with lake.files() as (filesystem, base):
        selector = pyarrow.fs.FileSelector(f"{base}/{folder}", allow_not_found=True, recursive=recursive)
        return list(filesystem.get_file_info(selector))


def _write_rows(lake: Lake, path: str, rows: pa.Table) -> str:
    """Write rows as a Parquet file and return its address."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, row_group_size=ROW_GROUP_ROWS)
    _write(lake, path, sink.getvalue())
    return f"{lake.uri}/{path}"


def _write(lake: Lake, path: str, content: bytes | pa.Buffer) -> None:
    """Write a file whole or not at all: a put is atomic on object stores, a rename on file systems."""
    with lake.files() as (filesystem, base):
        target = f"{base}/{path}"
        if not isinstance(filesystem, pyarrow.fs.LocalFileSystem):
            with filesystem.open_output_stream(target) as stream:
                stream.write(content)
            return
        temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
        filesystem.create_dir(target.rsplit("/", 1)[0])
        try:
            with filesystem.open_output_stream(temporary) as stream:
                stream.write(content)
            filesystem.move(temporary, target)
        except BaseException:
            with suppress(OSError):  # half a file takes room, too
                filesystem.delete_file(temporary)
            raise
