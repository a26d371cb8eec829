"""Processes that tests start, kill and start again: each in a session of its own, its output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

GONE_WITHIN = 20.0


@dataclass(slots=True)
class Process:
    """One command and everything that it starts.

    :param log: file that the output goes to; each start adds to it.
    :param user: whom it runs as, by name; None for the one who asks.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    user: str | None = None
    _started: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """The command's own process id."""
        assert self._started is not None, f"{self.command} was not started"
        return self._started.pid

    def start(self) -> None:
        """Start the command; what an earlier start has left must be gone."""
        assert not self.alive(), f"{self.command} runs already"
        _end_in_order()
        identity: dict[str, Any] = {}
        if self.user:
            identity = {"user": self.user, "group": self.user, "extra_groups": []}
        with self.log.open("ab") as output:
            self._started = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                **identity,
            )

    def alive(self) -> bool:
        """Tell whether the command itself runs."""
        return self._started is not None and self._started.poll() is None

    def members(self) -> list[int]:
        """List what lives of the command, its session and its descendants."""
        if self._started is None:
            return []
        self._started.poll()
        found = set()
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.pid)
            found |= {top.pid, *(child.pid for child in top.children(recursive=True))}
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.pid:
                    found.add(pid)
        return sorted(pid for pid in found if _lives(pid))

    def kill(self) -> None:
        """SIGKILL the command and everything that it has started, as a machine that loses its power."""
        deadline = time.monotonic() + GONE_WITHIN
        while living := self.members():
            assert time.monotonic() < deadline, f"{living} of {self.command} don't end"
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        if self._started is not None:
            self._started.wait(GONE_WITHIN)  # a process of many threads can be a zombie before it has ended

    def stop(self, patience: float = 20.0, first: signal.Signals = signal.SIGTERM) -> None:
        """Ask the command to end, and end what is left after a time."""
        if self._started is not None and self.alive():
            self._started.send_signal(first)
            with suppress(subprocess.TimeoutExpired):
                self._started.wait(patience)
        self.kill()

    def wait(self, within: float) -> int:
        """Wait for its end and give its exit status."""
        assert self._started is not None, f"{self.command} was not started"
        return self._started.wait(within)

    def output(self, characters: int = 4000) -> str:
        """Give the end of what it has printed, or with -1 all of it."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text if characters < 0 else text[-characters:]

    def wait_until(self, ready: Callable[[], bool], what: str, within: float = 60.0) -> None:
        """Wait for something that shows that it works.

        :raises RuntimeError: it ended, or the time did; the message holds the end of its output.
        """
        deadline = time.monotonic() + within
        while not ready():
            if not self.alive():
                raise RuntimeError(f"{what}: {self.command} has ended:\n{self.output()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {within:.0f} s:\n{self.output()}")
            time.sleep(0.1)


def _end_in_order() -> None:
    """Let SIGTERM unwind the tests, so that nothing that was started outlives them."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
