"""What a platform can be asked: start a job, and what became of it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Protocol

from porter.errors import PorterError
from porter.records.jobs import JobRequest, JobState, Started

EXTRA = "pip install 'hf-tao-porter[train]'"

_STATES: dict[str, JobState] = {
    "Pending": "pending",
    "Running": "running",
    "Canceling": "canceling",
    "Complete": "complete",
    "Error": "error",
    "Canceled": "canceled",
}


class Driver(Protocol):
    """A platform, with the jobs of one run: its SDK keeps them in the run's folder."""

    def start(self, request: JobRequest) -> Started:
        """Start a job.

        Raises:
            PorterError: the platform did not take it; there is no job then.
        """
        ...

    def state(self, job: str) -> JobState:
        """Return the state of a job, by the SDK's id."""
        ...

    def logs(self, job: str, tail: int | None = None) -> str:
        """Return what a job has printed, or its last lines."""
        ...

    def cancel(self, job: str) -> bool:
        """End a job; return whether it has ended."""
        ...

    def known(self) -> dict[str, Started]:
        """Return every job that the SDK has a record of: also one that a killed porter did not note."""
        ...

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of a job's results; None where there is none, or it cannot be read from here."""
        ...

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of a job's results, relative; none where they cannot be listed from here."""
        ...


def sdk(module: str) -> ModuleType:
    """Import a module of NVIDIA's SDK or search.

    Raises:
        PorterError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PorterError(
            f"{module.partition('.')[0]} is not installed.",
            why=f"porter train starts jobs with NVIDIA's own SDK, which is an extra: {error}",
            next_step=EXTRA,
        ) from error


def state(said: str) -> JobState:
    """Return a state in porter's words."""
    return _STATES.get(said, "unknown")
