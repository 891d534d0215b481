"""How far a job is, and why one failed: what its files say, without the platform."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record

Status = Literal["", "started", "running", "success", "failure", "skipped", "unknown"]
"""TAO's own words for a line of ``status.json``, in lower case; empty where there is no line."""

Points = tuple[tuple[int, float], ...]
"""(place, value) of a metric: the place is an epoch counted from 1, or else the number of the report."""


class Best(Record, frozen=True, kw_only=True):
    """The best value of a network's metric, and its place as in :data:`Points`; the first of equal ones."""

    value: float
    at: int


class Progress(Record, frozen=True, kw_only=True):
    """What a ``status.json`` says of a job.

    Attributes:
        state: of the last line. TAO ends a job that went well with ``running``: what became of the job is
            the platform's to say.
        message: of the last line, its first line only.
        epoch: how many epochs are done, 0 before the first has ended; TAO counts from 0 in the names of its
            checkpoints, where the last one is ``epoch - 1``.
        epochs: how many there will be; 0 where nobody says.
        eta: seconds that are left, as of the last epoch that ended; None where nothing is known.
        by: what the places in *series* are.
        series: by metric, in the order in which they were first reported.
        last: by metric; None where what was reported last is no number.
        metric, direction: of the network, by which *best* was found; empty where none was asked for.
        dropped: by metric, how often it was no finite number.
        notes: what could not be read.
    """

    state: Status = ""
    message: str = ""
    epoch: int = 0
    epochs: int = 0
    eta: float | None = None
    by: Literal["epoch", "report"] = "report"
    series: dict[str, Points] = {}
    last: dict[str, float | None] = {}
    metric: str = ""
    direction: Literal["", "maximize", "minimize"] = ""
    best: Best | None = None
    dropped: dict[str, int] = {}
    notes: tuple[str, ...] = ()


class Diagnosis(Record, frozen=True, kw_only=True):
    """Why a job failed, as its log shows it.

    Attributes:
        cause, fix: of the catalog; empty where it does not know the failure.
        lines: of the log that say it, without secrets; none where the log is empty.
        others: causes of further failures that the log shows.
    """

    cause: str = ""
    fix: str = ""
    lines: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
