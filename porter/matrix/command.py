"""`porter matrix`: from its options to a matrix that has run."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from porter.cli_options import Given
from porter.errors import UsageError
from porter.matrix import listing, making, targets
from porter.matrix.book import Book
from porter.matrix.cells import summary, unexpected
from porter.matrix.run import MatrixRun, Settings
from porter.phases.table import LAST
from porter.records.matrix import Matrix
from porter.records.options import PortOptions
from porter.records.sandbox import Environment
from porter.runtimes import REHEARSAL
from porter.sandbox import environments
from porter.ui import Ui


@dataclass(frozen=True)
class Ran:
    """A matrix that has run.

    Attributes:
        folder: where its files lie.
        asked: number of rows that were asked for.
        missed: names of those among them that did not end as the list expects.
    """

    matrix: Matrix
    folder: Path
    asked: int
    missed: tuple[str, ...]


def run(given: Given, options: PortOptions, ui: Ui) -> Ran:
    """Run the matrix that was asked for.

    Args:
        given: the options of the command.
        options: what a port would be told of clones, bases and engine.
        ui: where it speaks.

    Raises:
        UsageError: the options or the list do not say what to run.
        WorkspaceError: there are no clones, or the folder holds something else.
        LockedError: another matrix works in the folder.
    """
    path = given.list.expanduser() if given.list else listing.shipped()
    entries = listing.read_list(path)
    wanted = listing.chosen(entries, given.only or ())
    if given.jobs < 0:
        raise UsageError(f"--jobs {given.jobs} is not a number of rows.", next_step="--jobs 2")
    if not 0 <= given.last <= LAST:
        raise UsageError(f"--until {given.last} is no phase.", why=f"this version has the phases 0 to {LAST}")
    settings = Settings(
        list_name=path.name,
        only=frozenset(entry.name for entry in wanted),
        until=given.last,
        targets=targets.find(options.clones, options.bases, options.base, embedded=options.embedded),
        engine=("--engine", given.engine) if given.engine else (),
        at_once=given.jobs or len(os.sched_getaffinity(0)),
        again=given.again,
    )
    book = Book(Path(given.book))
    with book.lock(), _ending_as_by_hand():
        made = MatrixRun(book, entries, settings, _environment(settings, ui), ui).run()
    ui.info(f"{summary(made)}")
    for name in ("matrix.md", "matrix.html", "matrix.json"):
        ui.info(f"  {book.root / name}")
    missed = tuple(row.name for row in unexpected(made) if row.name in settings.only)
    return Ran(made, book.root, len(wanted), missed)


@contextlib.contextmanager
def _ending_as_by_hand() -> Iterator[None]:
    """Take what asks a process to end for ^C: rows are then stopped and waited for."""

    def press(*_signal: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _environment(settings: Settings, ui: Ui) -> Environment:
    """Return what makes the models; the environments of the ports are built too, outside of their time."""
    built = environments.find(making.ENVIRONMENT)
    if built is None:
        with ui.working(f"building the environment {making.ENVIRONMENT} (once per machine)"):
            built = environments.ensure(making.ENVIRONMENT, progress=ui.progress)
    if settings.until > 3 and environments.find(REHEARSAL) is None:
        with ui.working(f"building the environment {REHEARSAL} (once per machine)"):
            environments.ensure(REHEARSAL, progress=ui.progress)
    return built
