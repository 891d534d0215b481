"""Runs jobs side by side, as many as there is memory for, each for as long as it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from porter.matrix.memory import Held, fits

_POLL = 0.2
GRACE = 30.0
"""Seconds that a job gets to stop by itself before it is killed."""


class Running(Protocol):
    """A job at work, as :class:`porter.matrix.child.Child` is one."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""

    def held(self) -> int:
        """Return the bytes of memory that it holds now."""

    def interrupt(self) -> None:
        """Ask it to stop."""

    def kill(self) -> None:
        """End it at once."""


@dataclass(frozen=True)
class Job:
    """Something to run.

    Attributes:
        needed: bytes of memory that it is reckoned to need.
        budget: seconds that it may take.
    """

    name: str
    needed: int
    budget: float
    start: Callable[[], Running]


@dataclass(frozen=True)
class Finish:
    """How a job ended.

    Attributes:
        how: ``no memory`` where it was never started, although nothing else ran.
        peak: most bytes of memory that it was seen to hold.
        available: what there was, where it was too little.
    """

    job: Job
    how: Literal["ended", "out of time", "no memory"]
    seconds: float = 0.0
    peak: int = 0
    available: int = 0


@dataclass
class _Active:
    job: Job
    running: Running
    began: float
    now: int = 0
    peak: int = 0
    asked: float | None = field(default=None)

    def look(self) -> None:
        self.now = self.running.held()
        self.peak = max(self.peak, self.now)


def shares(cpus: Sequence[int], at_once: int) -> tuple[tuple[int, ...], ...]:
    """Return the processors that each of *at_once* jobs keeps to.

    Torch starts a thread per processor that it sees; jobs that all see all of them wait for each other more
    than they compute.
    """
    size = max(1, len(cpus) // at_once)
    return tuple(
        tuple(cpus[place % len(cpus)] for place in range(job * size, (job + 1) * size))
        for job in range(at_once)
    )


def run_jobs(
    jobs: Sequence[Job],
    *,
    at_once: int,
    available: Callable[[], int],
    on_start: Callable[[Job], None],
    on_end: Callable[[Finish], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run all *jobs*; a job that does not fit lets those after it go first.

    A job that runs longer than its budget is asked to stop, and killed where it does not.

    Args:
        jobs: in the order in which they start.
        at_once: how many run side by side at most.
        available: returns the bytes of memory that can be had now.
        on_start: told of each job before it starts.
        on_end: told of each job once nothing of it is left.
        clock: the time in seconds.
        sleep: waits.

    Raises:
        KeyboardInterrupt: after everything that ran has been stopped.
    """
    waiting, active = list(jobs), list[_Active]()
    try:
        while waiting or active:
            _admit(waiting, active, at_once, available, on_start, on_end, clock)
            if not active:
                continue
            sleep(_POLL)
            for each in list(active):
                each.look()
                _watch(each, clock())
                if each.running.ended:
                    active.remove(each)
                    seconds = clock() - each.began
                    how: Literal["ended", "out of time"] = "ended" if each.asked is None else "out of time"
                    on_end(Finish(each.job, how, seconds, each.peak))
    finally:
        _stop([each.running for each in active], clock, sleep)


def _admit(
    waiting: list[Job],
    active: list[_Active],
    at_once: int,
    available: Callable[[], int],
    on_start: Callable[[Job], None],
    on_end: Callable[[Finish], None],
    clock: Callable[[], float],
) -> None:
    there = 0
    for job in list(waiting):
        if len(active) >= at_once:
            return
        there = available()
        if fits(job.needed, there, [Held(reckoned=each.job.needed, now=each.now) for each in active]):
            waiting.remove(job)
            on_start(job)
            active.append(_Active(job, job.start(), clock()))
    while waiting and not active:
        # Nothing runs whose end could make room.
        on_end(Finish(waiting.pop(0), "no memory", available=there))


def _watch(each: _Active, now: float) -> None:
    if each.asked is None:
        if now - each.began > each.job.budget and not each.running.ended:
            each.asked = now
            each.running.interrupt()
    elif now - each.asked > GRACE:
        each.running.kill()


def _stop(left: Sequence[Running], clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    """End what still runs, also where somebody presses ^C again meanwhile."""
    try:
        for running in left:
            running.interrupt()
        deadline = clock() + GRACE
        while any(not running.ended for running in left) and clock() < deadline:
            sleep(_POLL)
    finally:
        for running in left:
            running.kill()
