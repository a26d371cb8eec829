from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from locus_stem import operators, sensors
from locus_stem.operators import orphan

#: A supervisor that forks a task's process and waits; the process writes its id and would run on for a minute.
SUPERVISOR = """
import os, sys, time
from locus_stem.operators import orphan
if os.fork() == 0:
    orphan._is_supervised = lambda: sys.argv[2] == "supervised"
    orphan.end_with_supervisor()
    with open(sys.argv[1] + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    time.sleep(60)
else:
    time.sleep(60)
"""


@pytest.fixture
def left_behind(tmp_path):
    """Start a supervisor, kill it, and give the process that it has left."""
    pids = []

    def make(how):
        told = tmp_path / "pid"
        supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(told), how])
        while not told.exists():
            assert supervisor.poll() is None
            time.sleep(0.02)
        pids.append(int(told.read_text()))
        time.sleep(2 * orphan.LOOK_SECONDS)
        assert lives(pids[0])  # its supervisor does
        supervisor.kill()
        supervisor.wait()
        return pids[0]

    yield make
    for pid in pids:
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def lives(pid):
    return Path(f"/proc/{pid}").exists() and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_task_ends_with_its_supervisor(left_behind):
    pid = left_behind("supervised")
    deadline = time.monotonic() + 20
    while lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_without_supervisor_goes_on_when_the_shell_that_began_it_ends(left_behind):
    pid = left_behind("dag.test()")
    time.sleep(4 * orphan.LOOK_SECONDS)
    assert lives(pid)


def test_outside_of_a_task_there_is_no_supervisor():
    assert not orphan._is_supervised()


def classes_of(package):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for found in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(found, type)
                and issubclass(found, BaseOperator)
                and found.__module__ == module.name
            ):
                yield found


def test_every_operator_and_sensor_ends_with_its_supervisor():
    found = {*classes_of(operators), *classes_of(sensors)}
    assert len(found) > 20
    for one in found:
        assert issubclass(one, orphan.EndsWithSupervisor), one
        assert one.pre_execute is orphan.EndsWithSupervisor.pre_execute, one
