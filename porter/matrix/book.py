"""The folder of a matrix: models that were made, a folder for each row, and the results."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from porter.atomic import is_temporary, write_atomic
from porter.errors import LockedError, WorkspaceError
from porter.records.base import from_json, to_json
from porter.records.matrix import MatrixRow

_MARKER = ".porter-matrix"
_FORMAT = b"1\n"
_PATIENCE = 60.0


class Book:
    """The folder of a matrix. Use it under its lock.

    Attributes:
        root: the folder, resolved.
        models: folder of the models that were made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.models = self.root / "models"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder, or open it, and hold it.

        Raises:
            WorkspaceError: it holds something else.
            LockedError: another matrix works in it.
        """
        from filelock import FileLock, Timeout

        self._claim()
        lock = FileLock(self.root / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(
                f"another porter works on the matrix in {self.root}", next_step="wait for it to end"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _claim(self) -> None:
        marker = self.root / _MARKER
        if marker.exists():
            return
        entries = (
            [entry.name for entry in self.root.iterdir() if not is_temporary(entry)]
            if self.root.is_dir()
            else []
        )
        if entries or (self.root.exists() and not self.root.is_dir()):
            raise WorkspaceError(
                f"{self.root} holds what is not a matrix's.",
                why=", ".join(sorted(entries)[:5]) or "it is a file",
                next_step="choose another --workspace: a folder that is empty or not there yet",
            )
        write_atomic(marker, _FORMAT)

    def row(self, name: str) -> Path:
        """Return the folder of a row: its port, its log, its clones, its result."""
        return self.root / "rows" / name

    def clear(self, name: str) -> Path:
        """Empty the folder of a row and return it; what a killed matrix left at work there is waited for.

        Raises:
            LockedError: it still works.
        """
        from filelock import FileLock, Timeout

        folder = self.row(name)
        state = folder / "port" / ".porter"
        if state.is_dir():
            lock = FileLock(state / "lock", timeout=_PATIENCE)
            try:
                with lock:
                    pass
            except Timeout as error:
                raise LockedError(
                    f"a port that an earlier matrix began still works in {folder / 'port'}",
                    next_step="wait for it to end",
                ) from error
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def results(self) -> dict[str, MatrixRow]:
        """Return the results by row; one that cannot be read, as an older porter's, counts as none."""
        found = {}
        for path in sorted(self.root.glob("rows/*/row.json")):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                found[path.parent.name] = from_json(path.read_bytes(), MatrixRow)
        return found

    def keep(self, row: MatrixRow) -> None:
        """Write the result of a row: from here on it is done."""
        write_atomic(self.row(row.name) / "row.json", to_json(row))
