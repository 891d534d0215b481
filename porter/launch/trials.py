"""The search of hyperparameters: NVIDIA's own proposes values, and every proposal is a job of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from porter.errors import PorterError
from porter.launch import checkpoints, monitor, progress, requests
from porter.launch.drivers import base
from porter.launch.runs import now
from porter.launch.schema import leaf
from porter.launch.searching import COUNTED
from porter.records.jobs import Job, JobRequest, Run
from porter.records.progress import Progress

if TYPE_CHECKING:
    from porter.launch.workflow import Workflow

_GENERATIONS = 20

_IDLE = 10
"""So often in a row a search may propose nothing, though it waits for nothing, before it is at its end."""

IN_A_ROW = 3
"""So many failed trials one after the other have one cause, and no search finds a way around it."""


class Search:
    """Runs the trials of a run until the search has enough.

    Args:
        workflow: of the run; it starts the jobs.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._folder = workflow.folder
        self._plan = workflow.folder.load().plan
        self._search = _open(self._folder.load(), workflow)

    def go(self) -> Job:
        """Return the best trial.

        Raises:
            PorterError: a trial was canceled, or too many failed.
        """
        failed = 0
        # What a killed porter had asked for and not reported comes first.
        waiting = [
            one for one in self._search.get_history() if one.status in ("pending", "started", "running")
        ]
        idle = 0
        while idle < _IDLE and (waiting or not self._search.is_complete()):
            proposals = waiting or self._proposals()
            idle = 0 if proposals else idle + 1
            for proposal in proposals:
                done = self._try(proposal)
                failed = failed + 1 if done.state == "error" else 0
                if failed == IN_A_ROW:
                    raise PorterError(
                        f"{IN_A_ROW} trials of {self._folder.path.name} failed one after the other.",
                        why=f"the last one: {done.reason}",
                        next_step=f"porter logs {self._folder.path.name} --job {done.name}; "
                        f"porter resume {self._folder.path.name} goes on",
                    )
            waiting = []
        best = self._search.get_best()
        if best is None:
            name, last = self._folder.path.name, self._trials()[-2:]
            raise PorterError(
                f"No trial of {name} ended well.",
                why="; ".join(f"{job.name}: {job.reason}" for job in last) or "it has proposed none",
                next_step=f"porter logs {name} --job {last[-1].name}" if last else "--algorithm bayesian",
            )
        chosen = next(job for job in self._trials() if job.id == best.job_id)
        self._folder.update(best=chosen.name)
        self._prune(done=True)
        return chosen

    def _proposals(self) -> Any:
        """Return what to try next; the search knows of it when porter is killed meanwhile."""
        made = self._search.next_recommendation()
        # It writes down by itself which trials there are, but not, before one is reported, from which points
        # they came: without these it takes a later measurement for that of another point.
        self._search._controller.brain.save_state()
        return made

    def _try(self, proposal: Any) -> Job:
        """Run one trial and report it."""
        job = self._proposed(proposal)

        def make(job: Job) -> JobRequest:
            return requests.train(
                self._workflow.found,
                self._plan,
                self._folder.path,
                name=job.name,
                values=job.values,
                resume=job.start,
            )

        # One that failed, and was not reported before porter was killed, has had its chance.
        done = job if job.state == "error" else self._workflow.attempt(job, make)
        if done.state == "canceled":
            raise PorterError(
                f"{done.name} of {self._folder.path.name} was canceled.",
                next_step=f"porter resume {self._folder.path.name} tries it again, and goes on",
            )
        metric = self._metric(done) if done.state == "complete" else None
        if done.state == "complete" and metric is None:
            done = msgspec.structs.replace(done, state="error", reason=self._unmeasured(done))
        done = msgspec.structs.replace(done, metric=metric, ended=done.ended or now())
        self._folder.put(done)
        proposal.assign_job_id(done.id)
        self._search.report_result(
            proposal.id, 0.0 if metric is None else metric, status="failure" if metric is None else "success"
        )
        self._prune()
        return done

    def _metric(self, job: Job) -> float | None:
        return progress.metric_of(
            self._seen(job), monitor.measured(self._folder.load(), self._workflow.found)
        )

    def _unmeasured(self, job: Job) -> str:
        """Return why a trial that ended well has no metric."""
        metric = self._plan.search.metric
        seen = self._seen(job)
        if metric in seen.last:
            return f"its last {metric} is no finite number"
        others = f"; it has {', '.join(seen.last)}" if seen.last else ""
        return f"it has not measured {metric}{others}"

    def _seen(self, job: Job) -> Progress:
        workflow = self._workflow
        # What cannot be read now is no failure of the trial: it is done, and its search goes on later.
        return monitor.report(workflow.driver, self._folder.load(), job, workflow.found)

    def _proposed(self, proposal: Any) -> Job:
        """Return the job of a proposal: the one that is noted, or a new one.

        Some algorithms go on with a trial under its number: with other values, or from another trial.
        """
        values = {
            key: _within(value, self._plan.search.ranges.get(key, {}))
            for key, value in proposal.specs.items()
        }
        parent = proposal.resume_from_job_id or ""
        trials = self._trials()
        noted = next((job for job in reversed(trials) if job.proposal == proposal.id), None)
        if noted is not None and (noted.values, noted.parent) == (values, parent):
            return noted
        before = next((job for job in trials if parent and job.id == parent), None)
        start = checkpoints.trained(self._workflow.driver, before, self._workflow.found) if before else ""
        made = Job(
            name=f"trial-{len(trials) + 1}",
            action=self._plan.action,
            values=values,
            proposal=proposal.id,
            parent=parent,
            start=start,
        )
        self._folder.put(made)
        return made

    def _prune(self, *, done: bool = False) -> None:
        """Remove the checkpoints of trials that nothing needs any more; they would fill the disk."""
        # Other algorithms go on with trials that did well, and say late with which.
        if self._plan.search.algorithm not in COUNTED and not done:
            return
        best = self._search.get_best()
        for job in self._trials():
            if job.state in ("complete", "error") and (best is None or job.id != best.job_id):
                base.remove_local(job.results, checkpoints.ENDINGS)

    def _trials(self) -> list[Job]:
        return [job for job in self._folder.load().jobs if job.action == self._plan.action]


def _open(run: Run, workflow: Workflow) -> Any:
    """Return the search as it was left, or a new one."""
    plan, folder = run.plan, workflow.folder
    schema = _narrowed(folder.schema(), plan.search.ranges)
    # Without what the algorithm knows there is nothing to go on from.
    started = any((folder.search / ".automl" / "brain").glob("*.json"))
    chosen = plan.search
    epochs = _epochs(schema, plan.spec)
    generations = min(_GENERATIONS, epochs)
    settings: dict[str, Any] = {
        "algorithm": chosen.algorithm,
        "metric": chosen.metric,
        "direction": chosen.direction,
        "session_id": run.name,
        "experiment_id": run.name,
        "automl_max_recommendations": chosen.recommendations,
        # Of algorithms that give a trial more epochs the better it does: never more than the plan has.
        "automl_max_epochs": epochs,
        "automl_max_generations": generations,
        "automl_eval_interval": -(-epochs // generations),
    }
    try:
        return base.sdk("tao_automl").AutoML(
            workspace=str(folder.search),
            network=plan.model,
            train_specs=_merged(schema["default"], plan.spec),
            settings=settings,
            automl_hyperparameters=list(chosen.parameters),
            action=plan.action,
            resume=started,
            search_schema=schema,
        )
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PorterError(
            f"The search of {run.name} cannot be opened.",
            why=str(error),
            next_step="--automl off trains once",
        ) from error


def _within(value: Any, range_: Mapping[str, Any]) -> Any:
    """Return a value, or the nearest bound: at the ends of a narrow range the search steps out of it."""
    if "minimum" not in range_:
        return value
    return min(max(value, range_["minimum"]), range_["maximum"])


def _epochs(schema: Mapping[str, Any], spec: Mapping[str, Any]) -> int:
    values = requests.flat(schema["default"]) | requests.flat(spec)
    return int(values.get("train.num_epochs") or 1)


def _narrowed(schema: dict[str, Any], ranges: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a schema with the ranges that a person gave.

    The search takes ranges beside its schema too, but heeds their options for some types alone.
    """
    for key, range_ in ranges.items():
        described = leaf(schema["properties"], key)
        if described is not None:
            described.pop("option_weights", None)
            described.update(range_, automl_enabled=True)
    return schema


def _merged(defaults: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return requests.with_values(defaults, requests.flat(spec))
