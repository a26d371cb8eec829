"""Print the first Python of some versions that this machine has: `find_python.py 3.13 3.12`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An interpreter of a distribution may lack what makes environments; a shim of pyenv may stand for none.
PROBE = "import ensurepip, ssl, sqlite3, sys; print('{}.{}'.format(*sys.version_info))"


def find_python(version: str) -> str | None:
    """Give the path of an interpreter that can make environments, from PATH or among pyenv's versions.

    :param version: such as ``3.12``.
    """
    return next((str(path) for path in _candidates(version) if _answers(path, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    for folder in os.get_exec_path():
        yield Path(folder, f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    yield Path(sys.executable)


def _answers(path: Path, version: str) -> bool:
    if not path.is_file():
        return False
    done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() == version


if __name__ == "__main__":
    for path in filter(None, map(find_python, sys.argv[1:])):
        print(path)
        break
    else:
        sys.exit(f"This machine has no Python {' or '.join(sys.argv[1:])}.")
