"""The folders of runs: one record in each, written whole, and held by one porter at a time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from porter.atomic import write_atomic
from porter.errors import LockedError, PorterError, UsageError, WorkspaceError
from porter.records.base import from_json, to_json
from porter.records.jobs import ENDED, Interpreter, Job, Run
from porter.records.training import TrainPlan

DEFAULT = "porter-runs"
RECORD = "run.json"
SCHEMA = "schema.json"

_PATIENCE = 0.5
"""Seconds."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+-(\d+)")


class RunFolder:
    """The folder of one run.

    Attributes:
        path: the folder, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def staged(self) -> Path:
        """Folder of what porter brought."""
        return self.path / "staged"

    @property
    def search(self) -> Path:
        """Folder of the search's state."""
        return self.path / "search"

    @property
    def log(self) -> Path:
        """What the SDK and the search have said."""
        return self.path / "sdk" / "sdk.log"

    def load(self) -> Run:
        """Read the record.

        Raises:
            WorkspaceError: there is none, or it is not of this version.
        """
        try:
            return from_json((self.path / RECORD).read_bytes(), Run)
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"{self.path} is no run.", why=f"it has no {RECORD}", next_step="porter jobs"
            ) from error
        except (OSError, msgspec.MsgspecError) as error:
            raise WorkspaceError(
                f"{self.path / RECORD} cannot be read.",
                why=str(error),
                next_step="porter jobs shows the others",
            ) from error

    def save(self, run: Run) -> None:
        """Write the record."""
        write_atomic(self.path / RECORD, to_json(run))

    def update(self, **changes: Any) -> Run:
        """Change fields of the record; return what is written."""
        run: Run = msgspec.structs.replace(self.load(), **changes)
        self.save(run)
        return run

    def put(self, job: Job) -> Run:
        """Write a job: in the place of the one with its name, or as the last."""
        jobs = self.load().jobs
        names = [known.name for known in jobs]
        if job.name in names:
            return self.update(jobs=tuple(job if known.name == job.name else known for known in jobs))
        return self.update(jobs=(*jobs, job))

    def schema(self) -> dict[str, Any]:
        """Return the schema of the action train, as it was when the run was made.

        Raises:
            WorkspaceError: it cannot be read.
        """
        try:
            # It has bare Infinity in it, as NVIDIA's own schemas have.
            made: dict[str, Any] = json.loads((self.path / SCHEMA).read_bytes())
        except (OSError, ValueError) as error:
            raise WorkspaceError(
                f"{self.path / SCHEMA} cannot be read.",
                why=str(error),
                next_step="put it back, or start another run: porter train",
            ) from error
        return made

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run; the operating system lets go of it when the process ends, however it ends.

        Raises:
            LockedError: another porter does.
        """
        from filelock import FileLock, Timeout

        # Who only looks whether the run is held has the lock for an instant.
        lock = FileLock(self.path / ".lock", timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(
                f"Another porter works on {self.path.name}.",
                why=self.holder(),
                next_step=f"porter watch {self.path.name} follows it",
            ) from error
        try:
            said = f"process {os.getpid()}: {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}"
            write_atomic(self.path / ".holder", said.encode())
            yield
        finally:
            lock.release()

    def is_held(self) -> bool:
        """Return whether a porter works on the run."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    def holder(self) -> str:
        """Return which process holds the run, or held it last; empty where nobody has."""
        try:
            return (self.path / ".holder").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def root(given: str = "") -> Path:
    """Return the folder of all runs."""
    return Path(given or os.environ.get("PORTER_RUNS") or DEFAULT).expanduser().absolute()


def create(
    folder: Path,
    plan: TrainPlan,
    schema: bytes,
    *,
    export: bool,
    interpreter: Interpreter | None,
) -> RunFolder:
    """Make the folder of a new run: the next number of its model.

    Args:
        folder: of all runs.
        plan: what is to be done.
        schema: of the action, as JSON.
        export: whether the trained model is exported in the end.
        interpreter: what runs the jobs, where no container does.

    Raises:
        PorterError: the folder cannot be written.
        UsageError: TAO's launcher could not work in it.
    """
    if re.search(r"\s", str(folder)):
        raise UsageError(
            f"Runs cannot lie in {folder}.",
            why="TAO's launcher splits paths at blanks",
            next_step="--runs DIR names a folder without blanks",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((number for number, _ in _numbered(folder, plan.model)), default=0)
        while True:
            place = folder / f"{plan.model}-{number}"
            try:
                place.mkdir()
                break
            except FileExistsError:
                number += 1
        made = RunFolder(place)
        try:
            write_atomic(place / SCHEMA, schema)
            made.save(Run(name=place.name, made=now(), plan=plan, export=export, interpreter=interpreter))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    except OSError as error:
        raise PorterError(
            f"A run cannot be made in {folder}.", why=str(error), next_step="--runs DIR names another folder"
        ) from error
    return made


def find(folder: Path, name: str) -> RunFolder:
    """Return a run by its name or path.

    Raises:
        UsageError: there is none.
    """
    for path in (folder / name, Path(name).expanduser().absolute()):
        if (path / RECORD).is_file():
            return RunFolder(path)
    known = [path.name for path in _folders(folder)]
    raise UsageError(
        f"There is no run {name}.",
        why=f"runs in {folder}: {', '.join(known[-5:])}" if known else f"{folder} has no runs",
        next_step="porter jobs lists them; --runs DIR names another folder",
    )


def every(folder: Path) -> list[RunFolder]:
    """Return all runs, the oldest first."""
    return [RunFolder(path) for path in _folders(folder)]


def now() -> str:
    """Return the time, as records have it."""
    return datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")


def ended(job: Job) -> bool:
    """Return whether nothing more happens to a job by itself."""
    return job.state in ENDED


def _folders(folder: Path) -> list[Path]:
    found = [path.parent for path in folder.glob(f"*/{RECORD}")]
    return sorted(found, key=lambda path: ((path / RECORD).stat().st_ctime, path.name))


def _numbered(folder: Path, model: str) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(f"{model}-*"):
        found = _NAME.fullmatch(path.name)
        if found and path.name == f"{model}-{found[1]}":
            yield int(found[1]), path
