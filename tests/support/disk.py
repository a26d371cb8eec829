"""A small file system of its own, to be filled and closed: only the kernel can do that to root."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_DISK = "no file system of its own can be mounted here: that takes root"


@dataclass
class Disk:
    """A small file system of its own."""

    folder: Path

    def fill(self) -> None:
        """Leave no room for a file."""
        filler = os.open(self.folder / "filler", os.O_CREAT | os.O_WRONLY)
        with suppress(OSError):
            while os.write(filler, b"x" * 4096):
                pass
        os.close(filler)
        assert os.statvfs(self.folder).f_bavail == 0

    def make_room(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)

    def mount(self, *options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", self.folder],
            check=True,
            capture_output=True,
        )

    def close(self) -> None:
        """Let nobody write, not even root."""
        self.mount("remount", "ro")

    def open(self) -> None:
        self.mount("remount", "rw")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk | None]:
    """Mount a file system of so many bytes in memory; None where this machine doesn't let one."""
    made = Disk(folder)
    folder.mkdir(parents=True)
    try:
        made.mount(f"size={size}")
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
