"""The folder of one port: its options, its lock, and where everything lies."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from porter.atomic import temporary, write_atomic
from porter.errors import LockedError, WorkspaceError
from porter.records.base import Record, from_json, to_json
from porter.records.options import PortOptions
from porter.records.reference import Repo

OPTIONS_FILE = "porter.toml"
FORMAT = 1

_HEADER = """\
# The options of this port. `porter resume` reads them again: edit them here. porter's own
# records lie beside this file, in .porter/.

"""


class Holder(Record, frozen=True, kw_only=True):
    """The process that holds the lock."""

    pid: int
    command: str


class Workspace:
    """The folder of one port.

    Attributes:
        root: the folder, resolved.
        state: ``.porter`` in it: records, pristine copies, runs, the lock.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.state = self.root / ".porter"

    @classmethod
    def create(cls, root: Path, options: PortOptions) -> Workspace:
        """Make the workspace, or open it where it is there with the same options.

        Raises:
            WorkspaceError: *root* holds something else, or a port with other options.
        """
        workspace = cls(root)
        if workspace.options_file.exists():
            differing = _differences(workspace.load(), options)
            if differing:
                raise WorkspaceError(
                    f"{workspace.root} is the workspace of a port with other options",
                    why="; ".join(differing),
                    next_step=f"{_resume(workspace.root)}, or choose another --workspace",
                )
            return workspace
        workspace._refuse_foreign_content()
        workspace.save(options)
        return workspace

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open a workspace that is there.

        Raises:
            WorkspaceError: there is none at *root*, or its options cannot be read.
        """
        workspace = cls(root)
        workspace.load()
        return workspace

    @property
    def options_file(self) -> Path:
        """``porter.toml``."""
        return self.root / OPTIONS_FILE

    @property
    def steps(self) -> Path:
        """Folder of the records of steps."""
        return self.state / "steps"

    @property
    def phases(self) -> Path:
        """Folder of the records of phases."""
        return self.state / "phases"

    @property
    def clones(self) -> Path:
        """Folder of the records of worktrees."""
        return self.state / "clones"

    @property
    def pristine(self) -> Path:
        """Folder with the last render of every file, by repo."""
        return self.state / "pristine"

    @property
    def conflicts(self) -> Path:
        """Folder with files that a person has to settle, by repo."""
        return self.state / "conflicts"

    @property
    def runs(self) -> Path:
        """Folder with one folder for each run in the sandbox."""
        return self.state / "runs"

    @property
    def results(self) -> Path:
        """Folder for what the port produces outside the clones: checkpoints, training output, reports."""
        return self.root / "results"

    def clone_path(self, repo: Repo) -> Path:
        """Return where the worktree of *repo* lies."""
        return self.root / repo

    def load(self) -> PortOptions:
        """Read the options.

        Raises:
            WorkspaceError: there are none, or they do not fit the schema.
        """
        try:
            data = msgspec.toml.decode(self.options_file.read_bytes())
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"{self.root} is no porter workspace",
                why=f"it has no {OPTIONS_FILE}",
                next_step=f"porter port MODEL --workspace {shlex.quote(str(self.root))}",
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise self._unusable("cannot be read", str(error)) from error
        number = data.pop("format", None)
        if isinstance(number, int) and number > FORMAT:
            raise WorkspaceError(
                f"{self.options_file} was written by a newer porter",
                why=f"it has format {number}, this porter reads up to {FORMAT}",
                next_step="pip install --upgrade hf-tao-porter",
            )
        if number != FORMAT:
            raise self._unusable("is not porter's", f"it has no line `format = {FORMAT}`")
        try:
            return msgspec.convert(data, PortOptions)
        except msgspec.ValidationError as error:
            raise self._unusable("does not hold the options of a port", str(error)) from error

    def save(self, options: PortOptions) -> None:
        """Write the options."""
        values = {
            name: value for name, value in msgspec.to_builtins(options).items() if value not in (None, {})
        }
        body = msgspec.toml.encode({"format": FORMAT, **values})
        write_atomic(self.options_file, _HEADER.encode() + body)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace; the operating system lets go of it when the process ends, however it ends.

        Raises:
            LockedError: another process holds it.
        """
        from filelock import FileLock, Timeout

        self.state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise self._locked() from error
        try:
            command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
            write_atomic(self._holder_file, to_json(Holder(pid=os.getpid(), command=command)))
            yield
        finally:
            lock.release()

    def _unusable(self, how: str, why: str) -> WorkspaceError:
        where = shlex.quote(str(self.options_file))
        return WorkspaceError(
            f"{self.options_file} {how}",
            why=why,
            next_step=f"mend it, or start anew: mv {where} {where}.old, then porter port",
        )

    @property
    def _holder_file(self) -> Path:
        return self.state / "lock.json"

    def _locked(self) -> LockedError:
        what = f"another porter works on {self.root}"
        try:
            holder = from_json(self._holder_file.read_bytes(), Holder)
        except (OSError, msgspec.MsgspecError):
            return LockedError(what, next_step="wait for it to end")
        return LockedError(
            what,
            why=f"process {holder.pid} holds it: {holder.command}",
            next_step=f"wait for it to end, or stop it: kill {holder.pid}",
        )

    def _refuse_foreign_content(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise WorkspaceError(
                f"{self.root} is a file, not a folder", next_step="choose another --workspace"
            )
        ours = {self.state, temporary(self.options_file)}
        foreign = sorted(entry.name for entry in self.root.glob("*") if entry not in ours)
        if foreign:
            raise WorkspaceError(
                f"{self.root} holds files that are not porter's",
                why=", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else ""),
                next_step="choose another --workspace: a folder that is empty or not there yet",
            )


def _differences(old: PortOptions, new: PortOptions) -> list[str]:
    return [
        f"{name} is {getattr(old, name)!r} there and {getattr(new, name)!r} here"
        for name in PortOptions.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    ]


def _resume(root: Path) -> str:
    return f"porter resume {shlex.quote(str(root))}"
