"""What a task does to the world, one effect after another: noted, and cut off by SIGKILL at one of them.

The effects are the edges of the package: a request to an API, a file staged, a commit of a table, a folder of staging
removed, a post to the webhook. Two environments use this: tasks driven one by one in processes of their own, and the
task processes of a real Airflow, see ``kills``.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import threading
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.fs

from locus_stem.tables.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Edge = tuple[str, str, str, "Callable[..., str]"]
Moment = Literal["before", "during", "after"]


@dataclass(frozen=True)
class KillPoint:
    """An instant at which a task's process dies.

    :param effect: name of an effect below, with its object behind a colon, or not: ``commit:coverage``; empty: any.
    :param number: which of them, the first is 1.
    :param moment: during: the request is at the API; the file, table or folder is written or removed by half.
    """

    effect: str
    number: int = 1
    moment: Moment = "before"

    @property
    def title(self) -> str:
        return f"{self.moment} {self.effect} {self.number}"


def _path(_: Any, request: Any, *__: Any) -> str:
    return str(request.target).split("?")[0]


def _staged(_: Any, path: str, *__: Any) -> str:
    return path.rsplit("/", 1)[-1]


def _table(table: Any, *_: Any, **__: Any) -> str:
    return str(table.table_uri).rstrip("/").rsplit("/", 1)[-1]


def _folder(staging: Any) -> str:
    return str(staging.plan_id)


def _nothing(*_: Any) -> str:
    return ""


#: Effect, module, attribute, and what it is done to, from its arguments.
EDGES: tuple[Edge, ...] = (
    ("request", "locus_stem.api.client", "_Client._send", _path),
    ("file", "locus_stem.tables.staging", "_write", _staged),
    ("commit", "locus_stem.tables.commit", "append", _table),
    ("commit", "locus_stem.tables.commit", "merge", _table),
    ("commit", "locus_stem.tables.commit", "rewrite", _table),
    ("removal", "locus_stem.tables.staging", "Staging.remove", _folder),
    ("post", "locus_stem.hooks.webhook", "Webhook.post", _nothing),
)
#: In a task of Airflow: its result has been handed over, and nobody knows yet that it succeeded.
AIRFLOW: tuple[Edge, ...] = (
    ("result", "airflow.sdk.execution_time.task_runner", "_push_xcom_if_needed", _nothing),
)
#: A process that may not write files longer than this dies in the middle of one; the shortest staged file is longer.
HALF_A_FILE = 100
#: So long after a request is begun it is at the sandbox, which takes longer to answer.
AT_THE_API = 0.03


class Effects:
    """The effects of this process from now on: written to a file, a line each, and cut off at the kill point."""

    def __init__(self, log: Path, point: KillPoint | None, edges: Sequence[Edge] = EDGES) -> None:
        self.log, self.point = log, point
        self._seen = 0
        self._one = threading.Lock()
        for effect, module, attribute, what in edges:
            owner: Any = importlib.import_module(module)
            *classes, name = attribute.split(".")
            for one in classes:
                owner = getattr(owner, one)
            setattr(owner, name, self._watched(effect, what, getattr(owner, name)))

    def _watched(self, effect: str, what: Callable[..., str], done: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(done)
        def watched(*arguments: Any, **named: Any) -> Any:
            with self._one:  # requests are sent on a thread of their own
                name = f"{effect}:{what(*arguments, **named)}"
                with self.log.open("a") as log:
                    log.write(f"{name}\n")
                dies = self._dies(name)
            if dies == "before":
                die()
            if dies == "during":
                _die_within(effect)
            result = done(*arguments, **named)
            if dies is not None:
                die()
            return result

        return watched

    def _dies(self, name: str) -> Moment | None:
        if self.point is None or (self.point.effect and not f"{name}:".startswith(f"{self.point.effect}:")):
            return None
        self._seen += 1
        return self.point.moment if self._seen == self.point.number else None


def die() -> None:
    """End this process as the kernel ends one that has no memory left: nothing of it runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def _die_within(effect: str) -> None:
    if effect in {"request", "post"}:
        alarm = threading.Timer(AT_THE_API, die)
        alarm.daemon = True
        alarm.start()
    elif effect == "removal":
        whole = Lake.filesystem
        Lake.filesystem = lambda lake: (_Deadly(whole(lake)[0]), whole(lake)[1])  # type: ignore[method-assign]
    else:  # the kernel kills whoever writes on: Python's, Arrow's or Delta's own code
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (HALF_A_FILE, most))


class _Deadly:
    """A file system under which a process dies while it removes a folder: every other file is gone."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def delete_dir(self, path: str) -> None:
        found = self._whole.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
        for info in [one for one in found if one.is_file][::2]:
            self._whole.delete_file(info.path)
        die()
