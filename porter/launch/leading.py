"""Leading a run: data is brought, jobs are started one after the other, and what came of them is drawn."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping

from porter.errors import WorkspaceError
from porter.launch import catalog, overview, requests, staging
from porter.launch.monitor import Monitor
from porter.launch.recheck import recheck
from porter.launch.remembered import GATE
from porter.launch.requests import NOTHING, Asked
from porter.launch.runs import RunFolder
from porter.launch.workflow import Workflow, later
from porter.records.catalog import CatalogEntry, Origin
from porter.records.jobs import Job, Run
from porter.records.training import DataFacts
from porter.ui import Ui


def lead(folder: RunFolder, ui: Ui, monitor: Monitor, *, follow: bool = True) -> Run:
    """Do what is left of a run. Use it under the run's lock.

    Args:
        folder: of the run.
        ui: where progress goes.
        monitor: waits for the jobs.
        follow: False starts the training and leaves it.

    Raises:
        PorterError: data could not be brought, or a job failed; what is done stays done.
    """
    run = folder.load()
    found = _entry(run)
    bring(folder, found, run, "evaluate" if "eval" in run.plan.data else "", {}, ui)
    workflow = Workflow(folder, overview.driver_of(folder, run), found, monitor)
    workflow.reattach()
    if not follow:
        workflow.start_training()
        return folder.load()
    return workflow.go()


def act(
    folder: RunFolder,
    action: str,
    ui: Ui,
    monitor: Monitor,
    *,
    asked: Asked = NOTHING,
    follow: bool = True,
) -> Job:
    """Run an action on what a run has trained. Use it under the run's lock.

    Args:
        folder: of the run.
        action: of the network.
        ui: where progress goes.
        monitor: waits for the job.
        asked: what a person asked for beside that.
        follow: False starts the job and leaves it.

    Raises:
        PorterError: nothing is trained yet, data could not be brought, or the job failed.
    """
    run = folder.load()
    found = _entry(run)
    model = overview.trained(run)
    bring(folder, found, run, action, asked.facts, ui)
    workflow = Workflow(folder, overview.driver_of(folder, run), found, monitor)
    workflow.reattach()
    name = next_name(run, action, later(run, found))
    return workflow.follow(Job(name=name, action=action), model, asked=asked, wait=follow)


def bring(
    folder: RunFolder,
    found: CatalogEntry,
    run: Run,
    action: str,
    facts: Mapping[Origin, DataFacts],
    ui: Ui,
) -> None:
    """Bring what training and an action after it read; other machines fetch that themselves."""
    if run.plan.platform not in requests.HERE:
        return
    more = requests.staged_of(found, run.plan, action, facts) if action else ()
    staging.stage((*run.plan.staged, *more), folder.path, ui)
    folder.update(plan=recheck(run.plan, found, folder.path))


def _entry(run: Run) -> CatalogEntry:
    """Return the network of a run.

    Raises:
        WorkspaceError: another port has its name now.
        PorterError: it is in the catalog no more.
    """
    found = catalog.entry(run.plan.model)
    if run.plan.workspace and found.workspace != run.plan.workspace:
        now = found.workspace or "one of TAO's own"
        raise WorkspaceError(
            f"{run.plan.model} is another network now than the one that {run.name} trains.",
            why=f"that was the port in {run.plan.workspace}, and now it is {now}",
            next_step=f"porter gate {GATE} {shlex.quote(run.plan.workspace)} makes that one known again",
        )
    return found


def next_name(run: Run, action: str, reserved: Collection[str]) -> str:
    """Return a name that no job of the run has, nor will have: ``evaluate``, then ``evaluate-2``."""
    taken = {*reserved, *(job.name for job in run.jobs)}
    names = [action, *(f"{action}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
