"""What a platform can be asked: start a job, and what became of it."""

from __future__ import annotations

import contextlib
import importlib
import logging
from pathlib import Path
from types import ModuleType
from typing import Protocol

from porter import secrets
from porter.errors import PorterError
from porter.records.jobs import JobRequest, JobState, Started

EXTRA = "pip install 'hf-tao-porter[train]'"

SILENT = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TELEMETRY_OPT_OUT": "yes",
}
"""Variables of every job: nothing is sent anywhere, TAO's own telemetry included."""

_LOGGERS = ("tao_sdk", "tao_automl", "docker", "kubernetes", "urllib3", "py.warnings")
"""Of the SDK, the search, and what they reach platforms with."""

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
        """Return every job that the SDK has a record of, the oldest first: also one that nobody noted."""
        ...

    def read(self, results: str, path: str) -> bytes | None:
        """Return a file of a job's results; None where there is none.

        Raises:
            PorterError: the platform does not say whether there is.
        """
        ...

    def files(self, results: str) -> tuple[str, ...]:
        """Return the files of a job's results, relative; none where they cannot be listed from here."""
        ...


def sdk(module: str) -> ModuleType:
    """Import a module of NVIDIA's SDK or search.

    Raises:
        PorterError: it is not installed.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PorterError(
            f"{module.partition('.')[0]} is not installed.",
            why=f"porter train starts jobs with NVIDIA's own SDK, which is an extra: {error}",
            next_step=EXTRA,
        ) from error
    finally:
        # Its script runner is also a program of its own, and has everybody's messages shown on the terminal.
        root.setLevel(level)
        root.handlers[:] = handlers


def state(said: str) -> JobState:
    """Return a state in porter's words."""
    return _STATES.get(said, "unknown")


def read_local(results: Path, path: str) -> bytes | None:
    """Return a file of results that lie on this machine."""
    place = results / path
    try:
        return place.read_bytes() if place.is_file() else None
    except OSError:
        return None


def list_local(results: Path) -> tuple[str, ...]:
    """Return the files of results that lie on this machine, sorted."""
    found = (path for path in results.rglob("*") if path.is_file())
    return tuple(sorted(path.relative_to(results).as_posix() for path in found))


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return secrets.hide(super().format(record))


class _Kept(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that is looked up
        """Say nothing: what cannot be kept, on a full disk, is no reason for tracebacks on the terminal."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def keep_log(path: Path) -> None:
    """Have what the SDK and the search say go to a file, and not to the terminal; no secret goes there.

    Raises:
        PorterError: there can be no such file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PorterError(
            f"{path.parent} cannot be made.", why=str(error), next_step="make the run's folder writable"
        ) from error
    handler = _Kept(path, delay=True)
    handler.setFormatter(_Redacting("%(asctime)s %(name)s %(levelname)s %(message)s"))
    # The search's numerics warn where nobody can do anything about it.
    logging.captureWarnings(True)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            with contextlib.suppress(OSError):
                old.close()
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def remove_local(results: str, endings: tuple[str, ...]) -> None:
    """Remove files of results by their endings, where the results lie on this machine."""
    folder = Path(results)
    if results.startswith("/") and folder.is_dir():
        for path in folder.rglob("*"):
            if path.name.endswith(endings):
                # One that another user's container has written stays: that is no reason to end a search.
                with contextlib.suppress(OSError):
                    path.unlink()
