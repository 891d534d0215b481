"""The commands that start jobs and follow them: ``porter train`` and what comes after it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from porter.cli_options import Given
from porter.errors import LeftRunningError, PorterError, UsageError
from porter.launching import as_json, schema_clones
from porter.launch import runs
from porter.launch.runs import RunFolder
from porter.records.catalog import Origin
from porter.records.jobs import Job, Run
from porter.records.training import DataFacts, Platform, SearchOptions, TrainOptions
from porter.ui import Ui


def train(given: Given) -> None:
    """Plan a training, make a run of it, and follow that."""
    from porter.launch import interpreter, ready, training
    from porter.report import training as shown

    _check(given)
    quiet = as_json(given)
    ui = Ui(assume_yes=given.go, quiet=quiet)
    clones = schema_clones(given)
    made = training.prepare(given.model, _options(given), clones, ui)
    if given.plan_only:
        shown.show_plan(made.plan, as_json=quiet)
        return
    if made.plan.search.on and not given.monitor:
        raise UsageError(
            "--no-monitor leaves a run alone, and a search is led by porter.",
            next_step="--automl off trains once; or leave out --no-monitor, and let porter run",
        )
    ready.require(made.plan, ui)
    runner = None
    if made.plan.platform == "virtualenv":
        runner = interpreter.choose(made.found, given.venv, clones, ui)
    schema = json.dumps(made.schema).encode()
    folder = runs.create(runs.root(given.runs), made.plan, schema, export=given.export, interpreter=runner)
    ui.info(f"run {folder.path}")
    _lead(folder, given, ui)


def resume(given: Given) -> None:
    """Go on with a run: what runs is followed, what failed starts anew, what is left comes after it."""
    _lead(_find(given.port_or_run, given), given, Ui(quiet=given.json))


def is_run(given: Given) -> bool:
    """Return whether ``porter resume`` was given a run, and not a port."""
    places = (Path(given.port_or_run), runs.root(given.runs) / given.port_or_run)
    return any((place / runs.RECORD).is_file() for place in places)


def evaluate(given: Given) -> None:
    """Evaluate what a run has trained."""
    _follow(given, "evaluate", {"eval": given.eval_data} if given.eval_data else {})


def export(given: Given) -> None:
    """Export what a run has trained."""
    _follow(given, "export", {})


def infer(given: Given) -> None:
    """Predict with what a run has trained."""
    _follow(given, "inference", {"inference": given.infer_data} if given.infer_data else {})


def jobs(given: Given) -> None:
    """List runs, or the jobs of one."""
    from porter.launch import overview
    from porter.report import jobs as shown

    root = runs.root(given.runs)
    folders = [runs.find(root, given.one_run)] if given.one_run else runs.every(root)
    shown.show_jobs([overview.look(folder) for folder in folders], one=bool(given.one_run), as_json=as_json(given))


def logs(given: Given) -> None:
    """Print the log of a job."""
    from porter import secrets
    from porter.launch import overview

    folder = _find(given.run, given)
    run = folder.load()
    job = _job(run, given.job)
    text = overview.driver_of(folder, run).logs(job.id, given.tail or None)
    sys.stdout.write(secrets.redacted(text))


def cancel(given: Given) -> None:
    """End the jobs of a run."""
    from porter.launch import overview

    ui = Ui()
    folder = _find(given.run, given)
    ended = overview.cancel(folder)
    ui.info(f"canceled: {', '.join(ended)}" if ended else f"{folder.path.name} has no job that runs")


def watch(given: Given) -> None:
    """Follow a run that another porter leads, or that was left alone."""
    from porter.launch import overview
    from porter.report import jobs as shown

    folder = _find(given.run, given)
    quiet = as_json(given)
    ui = Ui(quiet=quiet)
    with _stoppable(folder):
        overview.watch(folder, lambda *seen: ui.info(shown.progress_line(*seen)), minutes=given.every)
    shown.show_end(overview.look(folder), as_json=quiet)


def _lead(folder: RunFolder, given: Given, ui: Ui) -> None:
    """Hold a run and do what is left of it."""
    from porter.launch import leading
    from porter.report import jobs as shown

    with folder.held(), _stoppable(folder):
        leading.lead(
            folder, ui, tell=lambda *seen: ui.info(shown.progress_line(*seen)), minutes=given.every,
            follow=given.monitor,
        )
    _show(folder, given)
