"""The sandbox in a process of its own, so that it is measured beside its client and not within it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTED_WITHIN = 30.0


@contextmanager
def sandbox_process(*options: str) -> Iterator[str]:
    """Run ``python -m locus_stem.sandbox`` on a free port and give its address.

    :raises RuntimeError: it did not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder, "port")
        command = [
            sys.executable,
            "-m",
            "locus_stem.sandbox",
            "--port",
            "0",
            "--port-file",
            str(port_file),
            *options,
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            deadline = time.monotonic() + STARTED_WITHIN
            while not (port_file.exists() and port_file.read_text().strip()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the sandbox did not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()
            process.wait()
