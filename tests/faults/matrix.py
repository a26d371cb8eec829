"""A cell of the matrix: a fault at a rate on a pipeline, run and judged."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from faults import refusals
from faults.drawing import Recorder, seed_for
from faults.jobs import JOBS, Setting
from faults.kinds import KINDS, LATENCY_MS, RETRY_AFTER, SLOW, STATED, Always, OfRequests, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from faults.drawing import Drawn
    from faults.jobs import World
    from faults.kinds import Kind
    from locus_stem.demo.compare import Difference

#: So many times as long as without faults a run may take, waits that the faults state apart.
LONGEST = 3.0
NOT_THERE = "the fault was not there"
#: A run that took too long is measured anew, its measure too: the machine may have been busy with something else.
ATTEMPTS = 3
COLUMNS = (
    "fault", "rate", "pipeline", "requests", "faults", "seconds", "seconds without faults", "seconds stated", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What is run: a fault, one of its rates (None: it is always there), and a pipeline."""

    kind: Kind
    rate: float | None
    pipeline: str

    @property
    def waits(self) -> float:
        """How long a request has to wait on average, as the fault states it."""
        return STATED.get(self.kind.name, 0.0) * (self.rate or 0.0)

    def __str__(self) -> str:
        rate = "always" if self.rate is None else f"{self.rate:.0%}"
        return f"{self.kind.name}-{rate}-{self.pipeline}".replace(" ", "_").replace(",", "")


@dataclass
class Result:
    """What came of a cell."""

    cell: Cell
    requests: int
    injected: int
    seconds: float
    fault_free: float
    stated: float
    problems: list[str] = field(default_factory=list)

    @property
    def bound(self) -> float:
        return LONGEST * self.fault_free + self.stated

    def row(self) -> list[object]:
        rate = "always" if self.cell.rate is None else f"{self.cell.rate:.0%}"
        times = (round(value, 2) for value in (self.seconds, self.fault_free, self.stated))
        verdict = "; ".join(self.problems) or "exact"
        return [
            self.cell.kind.name,
            rate,
            self.cell.pipeline,
            self.requests,
            self.injected,
            *times,
            verdict,
        ]


CELLS = tuple(
    Cell(kind, rate, pipeline) for kind in KINDS for rate in kind.rates for pipeline in kind.pipelines
)


class Measures:
    """Runs of a worker: those without faults are kept for the cells, what they asked for and how long they took."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._seconds: dict[str, float] = {}
        self._requests: dict[str, list[Drawn]] = {}
        self._again: dict[str, tuple[float, int]] = {}

    def world(self, pipeline: str, setting: Setting) -> World:
        """Begin a world with an empty lake."""
        self._count += 1
        return JOBS[pipeline](f"file://{self._folder}/lake{self._count}", setting)

    def requests(self, pipeline: str, setting: Setting) -> list[Drawn]:
        """Give what a run without faults asks for."""
        key = f"{pipeline} {setting}"
        if key not in self._requests:
            world = self.world(pipeline, setting)
            world.server.application.faults = recorder = Recorder()
            failure = _timed(world)[1]
            problems = _problems(world, world.differences(world.fleet))
            world.end()
            assert (failure, problems) == (None, []), f"{pipeline} without faults: {failure}, {problems}"
            self._requests[key] = recorder.drawn
        return self._requests[key]

    def seconds(self, pipeline: str, setting: Setting, *, anew: bool = False) -> float:
        """Give how long a run without faults takes."""
        key = f"{pipeline} {setting}"
        if anew or key not in self._seconds:
            self.requests(pipeline, setting)  # nothing is measured that runs for the first time
            world = self.world(pipeline, setting)
            self._seconds[key], _ = _timed(world)
            world.end()
        return self._seconds[key]

    def again(self, pipeline: str, setting: Setting, *, anew: bool = False) -> tuple[float, int]:
        """Give how long a second run takes that is refused nothing, and its requests: what it knows it doesn't ask."""
        key = f"{pipeline} {setting}"
        if anew or key not in self._again:
            world = self.world(pipeline, setting)
            world.run()
            world.again()
            seconds, _ = _timed(world)
            self._again[key] = seconds, len(world.server.log)
            world.end()
        return self._again[key]


def judged(cell: Cell, measures: Measures, *, is_timed: bool) -> Result:
    """Run a cell; where it took too long, or what comes by the clock came between its requests, anew, its measure too.

    :param is_timed: whether how long it takes is judged.
    """
    run = {OfRequests: _of_requests, Always: _always, Refusal: _refusal}[type(cell.kind)]
    for attempt in range(ATTEMPTS):
        result = run(cell, measures, attempt > 0)
        if result.problems == [NOT_THERE]:
            continue
        if result.problems or not is_timed or result.seconds <= result.bound:
            return result
    if not result.problems:
        result.problems.append(f"took {result.seconds:.1f} s where {result.bound:.1f} s are allowed")
    return result


def _of_requests(cell: Cell, measures: Measures, anew: bool) -> Result:
    setting = _with_latency(cell.kind.setting)
    faults = cell.kind.faults(cell.rate)
    seed = seed_for(measures.requests(cell.pipeline, setting), faults)
    fault_free = measures.seconds(cell.pipeline, setting, anew=anew)
    options = {**setting.options, "faults": faults, "fault_seed": seed}
    world = measures.world(cell.pipeline, replace(setting, options=options))
    seconds, failure = _timed(world)
    drawn = Counter(served.fault for served in world.server.log if served.fault)
    stated = sum(STATED.get(kind, 0.0) * count for kind, count in drawn.items())
    problems = _problems(world, world.differences(world.fleet), failure)
    return _ended(world, cell, drawn[faults[-1].kind], (seconds, fault_free, stated), problems)


def _always(cell: Cell, measures: Measures, anew: bool) -> Result:
    fault_free = measures.seconds(cell.pipeline, _with_latency(cell.kind.measured_with), anew=anew)
    world = measures.world(cell.pipeline, _with_latency(cell.kind.setting))
    seconds, failure = _timed(world)
    problems = _problems(world, world.differences(world.fleet), failure)
    return _ended(world, cell, cell.kind.evidence(world), (seconds, fault_free, 0.0), problems)


def _refusal(cell: Cell, measures: Measures, anew: bool) -> Result:
    setting = refusals.setting(JOBS[cell.pipeline], _with_latency(Setting()).options)
    fault_free, due = measures.again(cell.pipeline, setting, anew=anew)
    world = measures.world(cell.pipeline, setting)
    refused = refusals.Refused(cell.kind.name, cell.rate, world)
    refused.begin()
    seconds, failure = _timed(world)
    problems = [*_problems(world, refused.differences()), *refused.problems(failure)]
    stats = world.server.stats()
    stated = stats["busy_seconds"] * max(0.0, 1 - due / stats["requests"])
    return _ended(world, cell, refused.injected(), (seconds, fault_free, stated), problems)


def _with_latency(setting: Setting) -> Setting:
    usual = {"latency_ms": LATENCY_MS, "retry_after": RETRY_AFTER, "slow_seconds": SLOW}
    return replace(setting, options={**usual, **setting.options})


def _timed(world: World) -> tuple[float, str | None]:
    began = time.monotonic()
    failure = world.run()
    return time.monotonic() - began, failure


def _problems(world: World, differences: list[Difference], failure: str | None = None) -> list[str]:
    """Say which tables differ, and whether more was in flight than the account allows."""
    found = [f"{one.table}: {one.differing} differ, {one.examples}" for one in differences if one.differing]
    if failure is not None:
        found.append(f"the run failed: {failure}")
    log = world.server.log
    if world.limit is not None and any(one.in_flight > world.limit for one in log):
        found.append(f"{max(one.in_flight for one in log)} requests were in flight")
    own = [one.path for one in log if one.status == 429 and one.fault is None]
    if own:
        found.append(f"429 to {own}")
    return found


def _ended(
    world: World, cell: Cell, injected: int, times: tuple[float, float, float], problems: list[str]
) -> Result:
    requests = len(world.server.log)
    world.end()
    if injected < 1:
        problems.append(NOT_THERE)
    return Result(cell, requests, injected, *times, problems)
