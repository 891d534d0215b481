"""Jobs on a platform, and the run that they are parts of."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record
from porter.records.training import Mount, TrainPlan

JobState = Literal[
    "planned", "starting", "pending", "running", "canceling", "complete", "error", "canceled", "unknown"
]
"""``planned`` and ``starting`` are porter's own: no platform knows the job yet; the others are the SDK's."""

ENDED: frozenset[JobState] = frozenset({"complete", "error", "canceled"})

RESULTS = "results_dir"
"""Spec key of the folder that a job writes to; the platform says where that is."""


class JobRequest(Record, frozen=True, kw_only=True):
    """Everything that a platform has to know to start a job.

    Attributes:
        name: of the job, unique in its run: ``train``, ``trial-3``, ``evaluate``.
        network, action: of TAO.
        command: with ``{config_path}`` for the file of the spec.
        spec: without :data:`RESULTS`, which the platform sets.
        image: empty where a virtual environment runs it.
        gpus: of every node; 0 hides them.
        mounts: local folders that it reads.
        inputs: spec keys, as ``a.b[0].c``, with URIs that the platform brings to the job.
    """

    name: str
    network: str
    action: str
    command: str
    spec: dict[str, Any]
    image: str = ""
    gpus: int = 1
    nodes: int = 1
    mounts: tuple[Mount, ...] = ()
    inputs: tuple[str, ...] = ()


class Started(Record, frozen=True, kw_only=True):
    """What a platform answers when it has taken a job.

    Attributes:
        id: of the SDK.
        results: folder or URI that :data:`RESULTS` is for the job; what reads it later is told this.
    """

    id: str
    results: str


class Job(Record, frozen=True, kw_only=True):
    """One job of a run.

    Attributes:
        id, results: as in :class:`Started`; empty until it has started.
        started, ended: ISO 8601 with time zone.
        reason: why it failed, with what to do.
        metric: of a trial that ended well, and *values* are the spec keys that it varied.
        proposal: number that the search has for a trial; it may give one number to several.
        parent: id of the trial that a trial goes on from; empty where it is none.
        start: checkpoint that it goes on from, of that trial or of an earlier attempt; empty where none.
        attempt: counts from 1; a job that failed may be started anew, and *earlier* are the ids it had then.
    """

    name: str
    action: str
    state: JobState = "planned"
    id: str = ""
    results: str = ""
    started: str = ""
    ended: str = ""
    reason: str = ""
    metric: float | None = None
    values: dict[str, Any] = {}
    proposal: int | None = None
    parent: str = ""
    start: str = ""
    attempt: int = 1
    earlier: tuple[str, ...] = ()


class Interpreter(Record, frozen=True, kw_only=True):
    """The virtual environment that runs jobs on this machine.

    Attributes:
        prefix: its folder.
        python_path: folders that its modules come from before its own.
    """

    prefix: str
    python_path: tuple[str, ...] = ()


class Run(Record, frozen=True, kw_only=True):
    """One ``porter train``: its plan, and the jobs that came of it.

    Attributes:
        name: of its folder, ``dino-1``.
        made: ISO 8601 with time zone.
        export: whether the trained model is exported in the end.
        interpreter: None where containers run the jobs.
        jobs: in the order in which they were started.
        best: name of the trial that the search has chosen; empty where there is none.
        finished: when nothing was left to do, ISO 8601 with time zone; empty until then.
    """

    name: str
    made: str
    plan: TrainPlan
    export: bool = False
    interpreter: Interpreter | None = None
    jobs: tuple[Job, ...] = ()
    best: str = ""
    finished: str = ""
