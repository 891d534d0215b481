"""The commands that start jobs and follow them: ``porter train`` and what comes after it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from porter.cli_options import Given
from porter.errors import LeftRunningError, UsageError, WorkspaceError
from porter.launch import runs
from porter.launch.runs import RunFolder
from porter.launching import as_json, schema_clones
from porter.records.catalog import Origin
from porter.records.jobs import ENDED
from porter.records.training import AutoMlChoice, Platform, SearchOptions, TrainOptions
from porter.ui import Ui

if TYPE_CHECKING:
    from porter.launch.monitor import Monitor, Tell
    from porter.launch.overview import Seen
    from porter.records.jobs import Job, JobState, Run
    from porter.records.progress import Progress
    from porter.records.training import TrainPlan

_AUTOML: dict[str, AutoMlChoice] = {"default": "default", "auto": "default", "on": "on", "off": "off"}


def train(given: Given) -> None:
    """Plan a training, make a run of it, and follow that."""
    from porter.launch import build, interpreter, ready, training
    from porter.report import training as shown

    quiet = as_json(given)
    ui = Ui(assume_yes=given.go, quiet=quiet)
    clones = schema_clones(given)
    made = training.prepare(given.model, _options(given), clones, ui)
    if given.plan_only:
        shown.show_plan(made.plan, as_json=quiet)
        return
    _refuse_leaving(
        made.plan, given, "--automl off trains once; or leave out --no-monitor, and let porter run"
    )
    ready.require(made.plan, made.found, ui, named=bool(given.image))
    runner = None
    if made.plan.platform == "virtualenv":
        runner = interpreter.choose(made.found, given.venv, build.with_worktrees(made.found, clones), ui)
    schema = json.dumps(made.schema).encode()
    folder = runs.create(runs.root(given.runs), made.plan, schema, export=given.export, interpreter=runner)
    ui.info(f"run {folder.path}")
    _lead(folder, given, ui)


def resume(given: Given) -> None:
    """Go on with a run: what runs is followed, what failed starts anew, what is left comes after it."""
    folder = _find(given.port_or_run, given)
    _refuse_leaving(folder.load().plan, given, f"porter resume {folder.path.name}")
    _lead(folder, given, Ui(quiet=given.json))


def is_run(given: Given) -> bool:
    """Return whether ``porter resume`` was given a run, and not a port."""
    places = (Path(given.port_or_run), runs.root(given.runs) / given.port_or_run)
    return any((place / runs.RECORD).is_file() for place in places)


def evaluate(given: Given) -> None:
    """Evaluate what a run has trained."""
    _act(given, "evaluate", "--eval-data", "eval", given.eval_data)


def export(given: Given) -> None:
    """Export what a run has trained."""
    _act(given, "export", "", None, "")


def infer(given: Given) -> None:
    """Predict with what a run has trained."""
    _act(given, "inference", "--data", "inference", given.infer_data)


def jobs(given: Given) -> None:
    """List runs, or the jobs of one."""
    from porter.launch import overview
    from porter.report import jobs as shown

    quiet = as_json(given)
    if given.one_run:
        one = overview.see(_find(given.one_run, given))
        _warn_unreachable(one)
        shown.show_run(one.run, one.progress, as_json=quiet)
        return
    seen = []
    for folder in runs.every(runs.root(given.runs)):
        try:
            seen.append(overview.see(folder))
        except WorkspaceError as error:
            Ui().warn(f"{error.what} {error.why}")
    seen.sort(key=lambda one: one.run.made)
    for one in seen:
        _warn_unreachable(one)
    # Of each run the job that runs, or ended last.
    latest = {
        one.run.name: one.progress[job.name]
        for one in seen
        for job in one.run.jobs
        if job.name in one.progress
    }
    shown.show_jobs([one.run for one in seen], latest, as_json=quiet)


def logs(given: Given) -> None:
    """Print the log of a job."""
    from porter import secrets
    from porter.launch import overview

    folder = _find(given.run, given)
    run = folder.load()
    job = overview.job_of(run, given.job)
    sys.stdout.write(secrets.hide(overview.driver_of(folder, run).logs(job.id, given.tail or None)))


def cancel(given: Given) -> None:
    """End the jobs of a run."""
    from porter.launch import overview

    folder = _find(given.run, given)
    stopped = overview.cancel(folder)
    name = folder.path.name
    if stopped:
        Ui().info(f"canceled: {', '.join(stopped)}")
    elif folder.is_held():
        Ui().warn(
            f"no job of {name} runs just now, but a porter leads it and may start one: {folder.holder()}"
        )
    else:
        Ui().info(f"no job of {name} runs")


def watch(given: Given) -> None:
    """Follow a run that another porter leads, or that was left alone."""
    from porter.launch import overview

    folder = _find(given.run, given)
    ui, minutes = Ui(quiet=as_json(given)), _minutes(given)
    with _stoppable(folder):
        overview.watch(folder, _tell(ui), minutes=minutes)
    _show(folder, given)


def _lead(folder: RunFolder, given: Given, ui: Ui) -> None:
    """Hold a run and do what is left of it."""
    from porter.launch import leading

    monitor = _monitor(given, ui)
    with folder.held(), _stoppable(folder):
        leading.lead(folder, ui, monitor, follow=given.monitor)
    _show(folder, given)


def _act(given: Given, action: str, option: str, origin: Origin | None, uri: str) -> None:
    """Run an action on what a run has trained."""
    from porter.launch import acting, leading

    folder = _find(given.run, given)
    ui = Ui(assume_yes=given.go, quiet=as_json(given))
    monitor = _monitor(given, ui)
    asked = acting.prepare(
        folder.load(), action, (origin, option, uri), given.spec or (), schema_clones(given), ui
    )
    with folder.held(), _stoppable(folder):
        leading.act(folder, action, ui, monitor, asked=asked, follow=given.monitor)
    _show(folder, given)


def _warn_unreachable(seen: Seen) -> None:
    if seen.unreachable:
        Ui().warn(f"{seen.run.name}: {seen.unreachable} It is shown as it was noted.")


def _refuse_leaving(plan: TrainPlan, given: Given, instead: str) -> None:
    """Refuse to leave a search alone.

    Raises:
        UsageError: the plan is one, and it was asked for.
    """
    if plan.search.on and not given.monitor:
        raise UsageError("--no-monitor leaves a run alone, and a search is led by porter.", next_step=instead)


def _monitor(given: Given, ui: Ui) -> Monitor:
    from porter.launch.monitor import Monitor

    return Monitor(_tell(ui), ui.warn, minutes=_minutes(given))


def _minutes(given: Given) -> float:
    """Return the minutes between two lines of progress.

    Raises:
        UsageError: they are none.
    """
    # What is no number is not above zero either.
    if not given.every > 0:
        raise UsageError(
            f"--every {given.every:g}: expected minutes, such as 5 or 0.5.",
            next_step="--every 5, or leave it out",
        )
    return float(given.every)


def _tell(ui: Ui) -> Tell:
    from datetime import datetime

    import msgspec

    from porter.report.jobs import progress_line

    def tell(run: Run, job: Job, state: JobState, seen: Progress) -> None:
        ui.info(progress_line(msgspec.structs.replace(job, state=state), seen, datetime.now().astimezone()))

    return tell


def _show(folder: RunFolder, given: Given) -> None:
    """Draw what came of a run beside its record, and show it."""
    from porter.launch import overview
    from porter.report import curves, trials
    from porter.report import jobs as shown

    seen = overview.see(folder)
    run = seen.run
    if shown.state_of(run) not in ENDED:
        shown.show_run(run, seen.progress, as_json=_wants_json(given))
        return
    files: list[Path] = []
    if run.plan.search.on:
        files += trials.write_trials(
            folder.path, trials.trials_of(run.jobs, run.plan.search, run.best), run.name
        )
    trained = run.best or "train"
    if trained in seen.progress:
        drawn = curves.write_curves(folder.path, seen.progress[trained], f"{run.name}, {trained}")
        files += [drawn] if drawn else []
    shown.show_end(
        run,
        seen.progress,
        checkpoint=seen.checkpoint,
        files=[str(path) for path in files],
        actions=seen.actions,
        as_json=_wants_json(given),
    )


@contextlib.contextmanager
def _stoppable(folder: RunFolder) -> Iterator[None]:
    """Tell who stops porter that jobs go on without it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        name = folder.path.name
        raise LeftRunningError(
            f"porter stopped following {name}; what it has started goes on.",
            next_step=f"porter resume {name} goes on with it, porter cancel {name} ends it",
        ) from stop


def _find(name: str, given: Given) -> RunFolder:
    return runs.find(runs.root(given.runs), name)


def _wants_json(given: Given) -> bool:
    # `resume` is a command of ports too, and says --json as those do.
    return bool(given.json) or as_json(given)


def _options(given: Given) -> TrainOptions:
    """Return what was asked for, checked as far as it needs no network.

    Raises:
        UsageError: an option has a value that it does not take.
    """
    for option, value, known in (
        ("--platform", given.platform, get_args(Platform)),
        ("--automl", given.automl or "on", ("on", "off", "auto")),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: expected one of {', '.join(known)}.")
    for option, number, least in (
        ("--gpus", given.gpus, 0),
        ("--nodes", given.nodes, 1),
        ("--trials", given.trials, 1),
    ):
        if number is not None and number < least:
            raise UsageError(f"{option} {number}: expected a number from {least} on.")
    _minutes(given)
    return TrainOptions(
        train=given.train_data,
        eval=given.eval_data,
        base=given.base_checkpoint,
        platform=given.platform,
        gpus=given.gpus,
        nodes=given.nodes or 0,
        automl=_AUTOML[given.automl or "default"],
        search=SearchOptions(
            algorithm=given.algorithm,
            trials=given.trials or 0,
            metric=given.metric,
            vary=tuple(given.vary or ()),
        ),
        image=given.image,
        settings=tuple(given.spec or ()),
    )
