"""What processes that died while they wrote have left in a lake: no reader sees it, and no vacuum."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow.fs

from locus_stem.tables.schemas import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from locus_stem.tables.lake import Lake

__all__ = ["remove_half_written"]

#: A file that deltalake has not finished, which its vacuum passes over; a commit that it has not put in place.
UNFINISHED = re.compile(r".*#\d+|_commit_.*\.json\.tmp")
PROBE = ".probe-"


def remove_half_written(lake: Lake, before: datetime) -> dict[str, int]:
    """Delete unfinished files that nobody has written to since an instant; return their bytes by path in the lake.

    In object stores there are none but probes: what was not uploaded to its end doesn't become an object.
    """
    removed = {}
    with lake.files() as (filesystem, base):
        for info in _unfinished(filesystem, base):
            if info.mtime is not None and info.mtime < before:
                filesystem.delete_file(info.path)
                removed[info.path.removeprefix(f"{base}/")] = info.size or 0
    return removed


def _unfinished(filesystem: pyarrow.fs.FileSystem, base: str) -> Iterator[pyarrow.fs.FileInfo]:
    for info in filesystem.get_file_info(pyarrow.fs.FileSelector(base, allow_not_found=True)):
        if info.is_file and info.base_name.startswith(PROBE):
            yield info
        is_table = info.base_name in SPECS or info.base_name.startswith("_")
        if isinstance(filesystem, pyarrow.fs.LocalFileSystem) and is_table and not info.is_file:
            held = filesystem.get_file_info(pyarrow.fs.FileSelector(info.path, recursive=True))
            yield from (one for one in held if one.is_file and UNFINISHED.fullmatch(one.base_name))
