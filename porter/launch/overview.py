"""Looking at runs from outside: what their jobs do now, following them, ending them."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import msgspec

from porter.errors import PorterError, UsageError
from porter.launch import catalog, checkpoints
from porter.launch.drivers.base import Driver
from porter.launch.drivers.choose import driver
from porter.launch.monitor import Tell, look
from porter.launch.routing import KEYS, NGC, SESSION
from porter.launch.runs import RunFolder, ended, now
from porter.records.jobs import Job, Run
from porter.records.progress import Progress
from porter.records.training import Platform

_PAUSE = 2.0
_LOST = 20
"""So many looks without an answer, one after the other, end the following."""

_NO_USE: dict[Platform, tuple[str, ...]] = {"docker": KEYS, "virtualenv": (*KEYS, NGC)}
"""Secrets that jobs have no use for: porter brings them what these are for."""


class Seen(NamedTuple):
    """A run as it is now, and how far its jobs are, by name; of a platform that cannot be asked, why.

    *checkpoint* is the trained model, and *actions* are those of the network.
    """

    run: Run
    progress: dict[str, Progress]
    unreachable: str = ""
    checkpoint: str = ""
    actions: tuple[str, ...] = ()


def driver_of(folder: RunFolder, run: Run) -> Driver:
    """Return the driver of a run; its jobs see the secrets that the plan names, and no others."""
    return driver(run.plan.platform, folder.path, shown_secrets(run), run.interpreter)


def shown_secrets(run: Run) -> tuple[str, ...]:
    """Return the names of the secrets that the jobs of a run see, in all the ways to set them."""
    needed = [one for one in run.plan.credentials if one.name not in _NO_USE.get(run.plan.platform, ())]
    named = [name for one in needed for name in (one.name, *one.others)]
    # A session belongs to keys in AWS's own names, and spoils others.
    if KEYS[0] in named and not os.environ.get(KEYS[0]):
        named.append(SESSION)
    return tuple(named)


def see(folder: RunFolder) -> Seen:
    """Return a run as it is now; what cannot be asked is as it was noted."""
    run = folder.load()
    try:
        asked = driver_of(folder, run)
        found = catalog.entry(run.plan.model)
        # A porter that leads the run notes by itself what became of a job.
        jobs = tuple(job if ended(job) or not job.id else _now(asked, job) for job in run.jobs)
        run = msgspec.structs.replace(run, jobs=jobs)
        progress = {job.name: look(asked, run, job, found) for job in jobs if job.results}
        model = _trained(run)
        checkpoint = checkpoints.trained(asked, model, found) if model else ""
        return Seen(run, progress, checkpoint=checkpoint, actions=tuple(found.actions))
    except PorterError as error:
        return Seen(run, {}, unreachable=error.what)


def watch(folder: RunFolder, tell: Tell, *, minutes: float) -> None:
    """Follow a run until none of its jobs runs and no porter leads it.

    Args:
        folder: of the run.
        tell: is given what is known, when a job begins or ends and every *minutes*.
        minutes: between two of these.

    Raises:
        PorterError: the platform cannot be asked any more how a job is; that may go on.
    """
    said: dict[str, str] = {}
    told = time.monotonic()
    silent = 0
    while True:
        seen = see(folder)
        silent = silent + 1 if seen.unreachable else 0
        if silent == _LOST:
            raise PorterError(
                f"{folder.path.name} cannot be followed any more.",
                why=seen.unreachable,
                next_step=f"porter platforms; porter watch {folder.path.name} follows it again",
            )
        due = time.monotonic() - told >= minutes * 60
        for job in seen.run.jobs:
            if job.results and (said.get(job.name) != job.state or (due and not ended(job))):
                tell(seen.run, job, job.state, seen.progress.get(job.name, Progress()))
                said[job.name] = job.state
                told = time.monotonic()
        running = any(job.id and not ended(job) for job in seen.run.jobs)
        if not running and not folder.is_held():
            return
        time.sleep(_PAUSE)


def cancel(folder: RunFolder) -> tuple[str, ...]:
    """End what runs of a run; return the names of the jobs.

    Raises:
        PorterError: a job could not be ended.
    """
    run = folder.load()
    asked = driver_of(folder, run)
    stopped = []
    for job in run.jobs:
        if not job.id or ended(job) or asked.state(job.id) in ("complete", "error", "canceled"):
            continue
        if not asked.cancel(job.id):
            raise PorterError(
                f"{job.name} of {folder.path.name} could not be ended.",
                why=f"it is {asked.state(job.id)}",
                next_step=f"porter cancel {folder.path.name} tries it again",
            )
        stopped.append(job.name)
        if not folder.is_held():
            with folder.held():
                folder.put(msgspec.structs.replace(job, state="canceled", ended=now()))
    return tuple(stopped)


def job_of(run: Run, name: str) -> Job:
    """Return a job of a run by its name; without one that which runs, else the last that was started.

    Raises:
        UsageError: there is none.
    """
    started = [job for job in run.jobs if job.id]
    for job in started:
        if job.name == name or (not name and not ended(job)):
            return job
    if started and not name:
        return started[-1]
    raise UsageError(
        f"{run.name} has no job {name}." if name else f"{run.name} has started no job yet.",
        why=f"it has: {', '.join(job.name for job in started)}" if started else "",
        next_step=f"porter jobs {run.name}",
    )


def trained(run: Run) -> Job:
    """Return the job whose model a run hands on: the training, or the best trial.

    Raises:
        UsageError: there is none yet.
    """
    model = _trained(run)
    if model is not None:
        return model
    raise UsageError(
        f"{run.name} has no trained model yet.",
        why="its search is not at its end" if run.plan.search.on else "its training is not at its end",
        next_step=f"porter jobs {run.name}; porter resume {run.name} goes on with it",
    )


def _trained(run: Run) -> Job | None:
    wanted = run.best if run.plan.search.on else "train"
    return next((job for job in run.jobs if job.name == wanted and job.state == "complete"), None)


def _now(asked: Driver, job: Job) -> Job:
    state = asked.state(job.id)
    return msgspec.structs.replace(job, state=job.state if state == "unknown" else state)
