"""A DAG's run without a scheduler: each try of a task is a process of its own, which may be killed.

What Airflow keeps between the tries of a run (XComs, states) is kept here as it keeps it: an XCom stands as soon as it
is pushed, a task's result only when the task has ended well, and a new try begins without XComs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from support.effects import KillPoint

TRIES = 6


class Zygote:
    """A process that has imported all, and from which each try is forked, as Airflow forks its tasks."""

    def __init__(self) -> None:
        folders = [str(Path(__file__).parents[1]), *(path for path in sys.path if path)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.try_process"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, order: Mapping[str, Any]) -> int:
        """Let a process do what is ordered; give the status with which it ended, negative where by a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class RunFailedError(AssertionError):
    """A task has failed for good."""


@dataclass
class Run:
    """One run of a DAG.

    :param folder: where its XComs and logs lie.
    :param between_tries: called before a task is tried again.
    :param environment: connections and configuration, as Airflow reads them from variables.
    :param settings: constants of the package's modules that are others in the tries.
    :param tries: how many each task had, by id and map index.
    :param cut_off: the effects of the tries that were killed.
    """

    zygote: Zygote
    folder: Path
    dag_id: str
    environment: Mapping[str, str]
    between_tries: Callable[[], None]
    params: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = "manual__2025-10-27T00:00:00+00:00"
    tries: dict[tuple[str, int], int] = field(default_factory=dict)
    done: set[tuple[str, int]] = field(default_factory=set)
    states: dict[str, str] = field(default_factory=dict)
    xcoms: dict[str, dict[str, Any]] = field(default_factory=dict)
    cut_off: list[str] = field(default_factory=list)

    def task(self, task_id: str, kill: KillPoint | None = None, map_index: int = -1, **mapped: Any) -> Any:
        """Run a task to its end, the first try up to its kill point; one that is done stays as it is.

        :raises RunFailedError: it failed for good.
        """
        if (task_id, map_index) in self.done:
            return self.xcoms[f"{task_id} {map_index}"].get("return_value")
        for _ in range(TRIES):
            number = self.tries[task_id, map_index] = self.tries.get((task_id, map_index), 0) + 1
            while (state := self._try(task_id, map_index, number, mapped, kill)) == "rescheduled":
                kill = None
            if state in {"success", "skipped"}:
                break
            kill = None
            if state == "failed":
                break
            self.between_tries()
        if map_index < 1 or state == "failed":
            self.states[task_id] = state
        if state not in {"success", "skipped"}:
            raise RunFailedError(f"{task_id} {map_index}: {state}\n{self.log[-3000:]}")
        self.done.add((task_id, map_index))
        return self.xcoms[f"{task_id} {map_index}"].get("return_value")

    def _try(
        self, task_id: str, map_index: int, number: int, mapped: Mapping[str, Any], kill: KillPoint | None
    ) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        before = len(self.effects(task_id, map_index))
        xcoms = self.folder / f"{task_id}.{map_index}.json"
        xcoms.unlink(missing_ok=True)
        status = self.zygote.fork(
            {
                "environment": dict(self.environment),
                "folder": str(self.folder),
                "settings": dict(self.settings),
                "dag_id": self.dag_id,
                "run_id": self.run_id,
                "params": dict(self.params),
                "task_id": task_id,
                "map_index": map_index,
                "mapped": dict(mapped),
                "try_number": number,
                "states": self.states,
                "xcoms": self.xcoms,
                "xcoms_to": str(xcoms),
                "kill": asdict(kill) if kill else None,
            }
        )
        self.xcoms[f"{task_id} {map_index}"] = json.loads(xcoms.read_text()) if xcoms.exists() else {}
        if status in {-signal.SIGKILL, -signal.SIGXFSZ}:
            self.cut_off += self.effects(task_id, map_index)[before:]
            return "killed"
        return str(self.xcoms[f"{task_id} {map_index}"].pop("state", f"ended with {status}"))

    @property
    def log(self) -> str:
        """What the tries have logged."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def effects(self, task_id: str, map_index: int = -1) -> list[str]:
        """Name the effects of all tries of a task."""
        file = self.folder / f"{task_id}.{map_index}.effects"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def killed(self) -> int:
        """How many tries were killed, or failed in another way, and done again."""
        return sum(self.tries.values()) - len(self.tries)
