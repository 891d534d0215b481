"""Waiting for a job: asks the platform, and says every few minutes how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from porter.errors import PorterError
from porter.launch import diagnosis, progress, requests
from porter.launch.drivers.base import Driver
from porter.records.catalog import CatalogEntry, Metric
from porter.records.jobs import ENDED, Job, JobState, Run
from porter.records.progress import Progress

_SECONDS_HERE, _SECONDS_THERE = 1.0, 15.0
_LOST = 20
"""So many answers without a state, one after the other, end the waiting."""

_LINES = 5
"""Of a log: by their change it is seen that a job still says something."""

Tell = Callable[[Run, Job, JobState, Progress], None]


class Monitor:
    """Waits for jobs.

    Args:
        tell: is given what is known when a job begins to run, every *minutes*, and when it has ended.
        warn: is told of a job that says nothing for long.
        minutes: between two of these.
        stalled: minutes after which that is long.
    """

    def __init__(
        self,
        tell: Tell,
        warn: Callable[[str], None],
        *,
        minutes: float,
        stalled: float = diagnosis.STALLED_AFTER,
    ) -> None:
        self._tell = tell
        self._warn = warn
        self._minutes = minutes
        self._stalled = stalled

    def wait(self, driver: Driver, run: Run, job: Job, found: CatalogEntry) -> JobState:
        """Return the state in which a job has ended.

        Raises:
            PorterError: the platform does not say any more how the job is; that may go on.
        """
        most = _SECONDS_HERE if run.plan.platform in requests.HERE else _SECONDS_THERE
        pause, told, before, silent = most / 16, 0.0, "", 0
        voice = _Voice(driver, job)
        while True:
            state, why = _ask(driver, job)
            silent = silent + 1 if state == "unknown" else 0
            if silent == _LOST:
                raise PorterError(
                    f"{run.plan.platform} does not say any more how {job.name} of {run.name} is.",
                    why=why or "it does not know the job",
                    next_step=f"porter platforms; porter resume {run.name} goes on with it",
                )
            due = time.monotonic() - told >= self._minutes * 60
            if state in ENDED or (state == "running" and (due or before != state)):
                self._tell(run, job, state, look(driver, run, job, found))
                told = time.monotonic()
                if state == "running" and (said := voice.stalled(self._stalled)):
                    self._warn(said)
            if state in ENDED:
                return state
            before = before if state == "unknown" else state
            time.sleep(pause)
            pause = min(2 * pause, most)


class _Voice:
    """Whether a job still says something; asked as seldom as a person is told of it."""

    def __init__(self, driver: Driver, job: Job) -> None:
        self._driver = driver
        self._job = job
        self._heard: object = None
        self._since = time.monotonic()

    def stalled(self, minutes: float) -> str:
        """Return a warning where the job has said nothing for so long."""
        try:
            status = self._driver.read(self._job.results, f"{self._job.action}/status.json")
            heard = (status, self._driver.logs(self._job.id, _LINES))
        except PorterError:
            return ""
        if heard != self._heard:
            self._heard, self._since = heard, time.monotonic()
        return diagnosis.stalled(self._job.name, time.monotonic() - self._since, minutes=minutes)


def _ask(driver: Driver, job: Job) -> tuple[JobState, str]:
    try:
        return driver.state(job.id), ""
    except PorterError as error:
        return "unknown", f"{error.what} {error.why}".strip()


def look(driver: Driver, run: Run, job: Job, found: CatalogEntry) -> Progress:
    """Return how far a job is; nothing is known where its results cannot be read."""
    try:
        return report(driver, run, job, found)
    except PorterError:
        # How far a job is matters less than that it runs.
        return _progress(None, run, job, found)


def report(driver: Driver, run: Run, job: Job, found: CatalogEntry) -> Progress:
    """Return what a job has reported.

    Raises:
        PorterError: the platform does not say; that it has reported nothing is something else.
    """
    status = driver.read(job.results, f"{job.action}/status.json") if job.results else None
    return _progress(status, run, job, found)


def _progress(status: bytes | None, run: Run, job: Job, found: CatalogEntry) -> Progress:
    spec = requests.with_values(run.plan.spec, job.values) if job.action == run.plan.action else {}
    return progress.read_progress(status, spec=spec, metric=measured(run, found))


def measured(run: Run, found: CatalogEntry) -> Metric:
    """Return the metric of a run: the search's own, where it has one."""
    search = run.plan.search
    if not search.on or search.metric == found.metric.key:
        return found.metric
    changed = {"key": search.metric, "direction": search.direction, "evaluate": ""}
    made: Metric = msgspec.structs.replace(found.metric, **changed)
    return made
