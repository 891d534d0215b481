"""Runs and their jobs: lines for people, JSON for machines; no secret and no spec in either."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from porter import secrets
from porter.records.base import Record
from porter.records.jobs import ENDED, Job, JobState, Run
from porter.records.progress import Progress
from porter.report.terminal import emit
from porter.report.text import in_line
from porter.report.trials import aligned, best_trial, exact, moment, seconds_of, span, trials_of

_TRIAL = "trial-"
_NEXT = {"evaluate": "evaluate", "export": "export", "inference": "infer"}
"""Commands by the action of a network that they start."""


class JobRow(Record, frozen=True, kw_only=True):
    """A job as it is listed.

    Attributes:
        epoch, epochs: 0 where they are not known.
        metric: name, *value* the last one, *best* the best one, at *best_at*.
        eta: seconds that are left; None where nothing is known, or the job does not run.
        seconds: that it took; None until it has ended.
    """

    name: str
    action: str
    state: JobState
    started: str = ""
    epoch: int = 0
    epochs: int = 0
    metric: str = ""
    value: float | None = None
    best: float | None = None
    best_at: int | None = None
    eta: float | None = None
    seconds: float | None = None
    results: str = ""
    reason: str = ""


class RunRow(Record, frozen=True, kw_only=True):
    """A run as it is listed.

    Attributes:
        job: that runs now, or the last one; None where there is none yet.
        trials: of a search that have ended, *of* how many there will be; both 0 where it is none.
        value: of the run: that of its best trial, or of its last training.
    """

    name: str
    model: str
    platform: str
    state: JobState
    made: str
    job: JobRow | None = None
    trials: int = 0
    of: int = 0
    metric: str = ""
    value: float | None = None


class RunEnd(Record, frozen=True, kw_only=True):
    """What came of a run.

    Attributes:
        best_trial: its number, and *values* are what it varied; None where there was no search.
        best: the best value over the epochs, at *best_at*.
        files: curves and tables.
        next: commands.
    """

    name: str
    state: JobState
    jobs: tuple[JobRow, ...] = ()
    metric: str = ""
    value: float | None = None
    best: float | None = None
    best_at: int | None = None
    best_trial: int | None = None
    values: dict[str, object] = {}
    checkpoint: str = ""
    files: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def state_of(run: Run) -> JobState:
    """Return the state of a run: that of a job that has not ended, or else what became of it.

    A trial that failed is none of the run's failures as long as the search goes on. A run of which something
    is left to do, and nothing runs, is planned.
    """
    active = [job.state for job in run.jobs if job.state not in ENDED]
    if active:
        return active[-1]
    last = run.jobs[-1] if run.jobs else None
    if last and last.state != "complete" and not (run.finished and last.name.startswith(_TRIAL)):
        return last.state
    return "complete" if run.finished else "planned"


def show_jobs(runs: Sequence[Run], progress: Mapping[str, Progress], *, as_json: bool) -> None:
    """Show all runs, a line each.

    Args:
        runs: in the order in which they are shown.
        progress: of the job of each run that runs now, or ended last, by the name of the run.
        as_json: one document, a list.
    """
    rows = [_run_row(run, progress.get(run.name)) for run in runs]
    if as_json:
        emit(rows)
        return
    if not rows:
        _say("There are no runs here yet: porter train starts one.")
        return
    head = ["RUN", "MODEL", "PLATFORM", "STATE", "PROGRESS", "METRIC", "LEFT", "STARTED"]
    cells = [
        [
            row.name,
            row.model,
            row.platform,
            row.state,
            _progress_of(row),
            f"{row.metric} {exact(row.value)}" if row.value is not None else "",
            span(row.job.eta) if row.job and row.job.eta is not None else "",
            _when(row.job.started if row.job and row.job.started else row.made),
        ]
        for row in rows
    ]
    _all(aligned([head, *cells]))


def show_run(run: Run, progress: Mapping[str, Progress], *, as_json: bool) -> None:
    """Show the jobs of one run, a line each; *progress* is by the name of the job."""
    rows = [_job_row(job, run, progress.get(job.name)) for job in run.jobs]
    if as_json:
        emit({"run": _run_row(run, progress.get(run.jobs[-1].name) if run.jobs else None), "jobs": rows})
        return
    plan = run.plan
    _say(f"{in_line(run.name)}: {plan.model} on {plan.platform}, {state_of(run)}, made {_when(run.made)}")
    if not rows:
        _say("It has no jobs yet.")
        return
    head = ["JOB", "STATE", "PROGRESS", "METRIC", "LEFT", "TOOK", "STARTED", "REASON"]
    cells = [
        [
            row.name,
            row.state,
            _epochs(row),
            f"{row.metric} {exact(row.value)}" if row.value is not None else "",
            "" if row.eta is None else span(row.eta),
            "" if row.seconds is None else span(row.seconds),
            _when(row.started),
            row.reason,
        ]
        for row in rows
    ]
    _all(aligned([head, *cells]))


def progress_line(job: Job, progress: Progress, now: datetime.datetime) -> str:
    """Return one line of what a job does at *now*, whose clock is shown as it is."""
    parts = []
    if progress.epoch:
        of = f" of {progress.epochs}" if progress.epochs else ""
        parts.append(f"epoch {progress.epoch}{of}")
    else:
        parts.append(f"{job.state}, no epoch has ended yet" if job.state == "running" else job.state)
    value = progress.last.get(progress.metric)
    if value is not None:
        best = progress.best
        parts.append(
            f"{progress.metric} {exact(value)}"
            + (f" (best {exact(best.value)} at {best.at})" if best else "")
        )
    elif progress.metric in progress.last:
        parts.append(f"{progress.metric} is no number")
    if progress.eta and job.state not in ENDED:
        parts.append(f"{span(progress.eta)} left")
    return in_line(f"{now:%H:%M} {job.name}: {', '.join(parts)}")


def show_progress(job: Job, progress: Progress, now: datetime.datetime) -> None:
    """Show one line of what a job does."""
    _say(progress_line(job, progress, now))


def show_end(
    run: Run,
    progress: Mapping[str, Progress],
    *,
    checkpoint: str = "",
    files: Sequence[str] = (),
    actions: Collection[str] = (),
    as_json: bool = False,
) -> None:
    """Show what came of a run, and what can be done with it.

    Args:
        run: whose jobs have ended.
        progress: by the name of the job.
        checkpoint: that was chosen.
        files: curves and tables that were written.
        actions: of the network.
        as_json: one document.
    """
    end = _end(run, progress, checkpoint, files, actions)
    if as_json:
        emit(end)
        return
    _say(f"{in_line(end.name)} ended: {end.state}")
    cells = [
        [row.name, row.state, "" if row.seconds is None else span(row.seconds), row.reason]
        for row in end.jobs
        if not row.name.startswith(_TRIAL)
    ]
    _all(f"  {line}" for line in aligned(cells))
    trials = [row for row in end.jobs if row.name.startswith(_TRIAL)]
    if trials:
        failed = sum(row.state != "complete" for row in trials)
        _say(f"trials      {len(trials)}{f', {failed} of them without a result' if failed else ''}")
    if end.best_trial is not None:
        values = ", ".join(f"{key}={value}" for key, value in end.values.items())
        _say(f"best trial  {end.best_trial}{f': {in_line(values)}' if values else ''}")
    if end.value is not None:
        best = f", best {exact(end.best)} at {end.best_at}" if end.best is not None else ""
        _say(f"metric      {in_line(end.metric)} {exact(end.value)}{best}")
    if end.checkpoint:
        _say(f"checkpoint  {in_line(end.checkpoint)}")
    _all(f"written     {in_line(path)}" for path in end.files)
    _all(f"next        {command}" for command in end.next)


def _end(
    run: Run,
    progress: Mapping[str, Progress],
    checkpoint: str,
    files: Sequence[str],
    actions: Collection[str],
) -> RunEnd:
    state = state_of(run)
    best = best_trial(trials_of(run.jobs, run.plan.search, run.best)) if run.plan.search.on else None
    trained = next(
        (
            job
            for job in reversed(run.jobs)
            if job.action == "train" and (best is None or job.name == best.name)
        ),
        None,
    )
    row = _job_row(trained, run, progress.get(trained.name)) if trained else None
    commands = [f"porter {command}" for action, command in _NEXT.items() if action in actions]
    if state != "complete":
        commands = ["porter logs"]
    return RunEnd(
        name=run.name,
        state=state,
        jobs=tuple(_job_row(job, run, progress.get(job.name)) for job in run.jobs),
        metric=row.metric if row else "",
        value=row.value if row else None,
        best=row.best if row else None,
        best_at=row.best_at if row else None,
        best_trial=best.number if best else None,
        values=dict(best.values) if best else {},
        checkpoint=checkpoint,
        files=tuple(files),
        next=tuple(f"{command} {shlex.quote(run.name)}" for command in commands),
    )


def _run_row(run: Run, progress: Progress | None) -> RunRow:
    search = run.plan.search
    job = next((job for job in reversed(run.jobs) if job.state not in ENDED), None)
    job = job or (run.jobs[-1] if run.jobs else None)
    row = _job_row(job, run, progress) if job else None
    metric, value = (row.metric, row.value) if row else ("", None)
    ended = 0
    if search.on:
        found = trials_of(run.jobs, search, run.best)
        best = best_trial(found)
        ended = sum(trial.state in ENDED for trial in found.trials)
        metric, value = search.metric, best.metric if best else None
    return RunRow(
        name=run.name,
        model=run.plan.model,
        platform=run.plan.platform,
        state=state_of(run),
        made=run.made,
        job=row,
        trials=ended,
        of=search.recommendations if search.on else 0,
        metric=metric,
        value=value,
    )


def _job_row(job: Job, run: Run, progress: Progress | None) -> JobRow:
    known = progress or Progress()
    return JobRow(
        name=job.name,
        action=job.action,
        state=job.state,
        started=job.started,
        epoch=known.epoch,
        epochs=known.epochs,
        metric=known.metric or (run.plan.search.metric if job.metric is not None else ""),
        value=job.metric if job.metric is not None else known.last.get(known.metric),
        best=known.best.value if known.best else None,
        best_at=known.best.at if known.best else None,
        eta=None if job.state in ENDED else known.eta,
        seconds=seconds_of(job),
        results=job.results,
        reason=in_line(secrets.hide(job.reason)),
    )


def _progress_of(row: RunRow) -> str:
    parts = []
    if row.of or row.trials:
        parts.append(f"{row.trials}/{row.of} trials" if row.of else f"{row.trials} trials")
    if row.job and row.job.epoch and not (parts and row.job.state in ENDED):
        parts.append(_epochs(row.job))
    return ", ".join(parts)


def _epochs(row: JobRow) -> str:
    if not row.epoch:
        return ""
    return f"epoch {row.epoch}/{row.epochs}" if row.epochs else f"epoch {row.epoch}"


def _when(text: str) -> str:
    """Return a time on the clock of whoever reads it."""
    found = moment(text)
    return f"{found.astimezone():%Y-%m-%d %H:%M}" if found else text


def _all(lines: Iterable[str]) -> None:
    for line in lines:
        _say(line)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
