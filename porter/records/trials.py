"""The trials of a search, as a person or a program reads them."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record
from porter.records.jobs import JobState


class Trial(Record, frozen=True, kw_only=True):
    """One trial.

    Attributes:
        number: as in its name, ``trial-3``.
        metric: None where it has none: it has not ended, or has failed.
        values: by the spec keys that it varied.
        seconds: from its start to its end; None where it has not ended.
        reason: why it failed, one line.
    """

    number: int
    name: str
    state: JobState
    metric: float | None = None
    values: dict[str, Any] = {}
    seconds: float | None = None
    reason: str = ""


class Trials(Record, frozen=True, kw_only=True):
    """All trials of a search, by number.

    Attributes:
        metric, direction: that they are compared by.
        parameters: spec keys that are varied.
        best: number of the best trial, the first of equal ones; None where none has a metric.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    parameters: tuple[str, ...] = ()
    best: int | None = None
    trials: tuple[Trial, ...] = ()
