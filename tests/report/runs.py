"""A run with a search, as its records are."""

from __future__ import annotations

from typing import Any

from porter.records.jobs import Job, JobState, Run
from porter.records.progress import Best, Progress
from porter.records.training import SearchRoute, TrainPlan

ROUTE = SearchRoute(
    on=True,
    reason="the default",
    algorithm="bayesian",
    metric="val_mAP50",
    direction="maximize",
    parameters=("train.optim.lr", "model.dropout_ratio"),
    recommendations=4,
)
NO_SEARCH = SearchRoute(on=False, reason="--automl off")
UNDER_WAY = Progress(
    state="running",
    epoch=3,
    epochs=10,
    eta=720.0,
    by="epoch",
    series={"val_mAP50": ((1, 0.2), (2, 0.437), (3, 0.412))},
    last={"val_mAP50": 0.412},
    metric="val_mAP50",
    direction="maximize",
    best=Best(value=0.437, at=2),
)


def job(name: str, state: JobState = "complete", **more: Any) -> Job:
    """Return a job that took an hour where it has ended."""
    ended = "2026-03-01T11:00:00+00:00" if state in ("complete", "error", "canceled") else ""
    more = {"action": "train", "started": "2026-03-01T10:00:00+00:00", "ended": ended, **more}
    return Job(name=name, state=state, **more)


def run(*jobs: Job, route: SearchRoute = NO_SEARCH, name: str = "dino-1", finished: bool = True) -> Run:
    """Return a run of DINO; one that has no jobs is at its beginning."""
    plan = TrainPlan(
        model="dino",
        action="train",
        platform="docker",
        format="coco",
        release="7.0.1",
        spec={"encryption_key": "c4nary-of-a-key"},
        command="dino train -e {config_path}",
        image="",
        gpus=1,
        nodes=1,
        search=route,
    )
    done = "2026-03-01T12:00:00+00:00" if jobs and finished else ""
    return Run(name=name, made="2026-03-01T09:59:00+00:00", plan=plan, jobs=jobs, finished=done)


def searched() -> Run:
    """Return a run whose third trial is the best and whose second failed."""
    return run(
        job("trial-1", metric=0.41, values={"train.optim.lr": 2e-4, "model.dropout_ratio": 0.1}),
        job(
            "trial-2",
            "error",
            reason="the GPU's memory\ndoes not hold a batch",
            values={"train.optim.lr": 1e-3},
        ),
        job("trial-3", metric=0.437, values={"train.optim.lr": 5e-5, "model.dropout_ratio": 0.0}),
        job("trial-10", metric=0.437, values={"train.optim.lr": 6e-5, "model.dropout_ratio": 0.2}),
        job("evaluate", action="evaluate"),
        route=ROUTE,
    )
