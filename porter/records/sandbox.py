"""What a sandbox is asked to run and what came of it."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record


class Mount(Record, frozen=True, kw_only=True):
    """A host path that is visible inside; every engine shows it under the same path."""

    path: str
    writable: bool = False


class Limits(Record, frozen=True, kw_only=True):
    """Bounds of one run. Bytes and seconds."""

    seconds: int = 900
    memory_bytes: int = 20 * 2**30
    file_bytes: int = 16 * 2**30
    processes: int = 512


class Environment(Record, frozen=True, kw_only=True):
    """A managed Python environment, built from pinned requirement sets.

    Attributes:
        name: requirement set, such as ``tao-pytorch-7.0.1``.
        prefix: folder of the virtual environment.
        python: interpreter inside it.
        digest: digest of the requirement files and of the Python that it was built with.
        read_only: further host paths that a run needs to read (the base interpreter, stand-ins).
        python_path: folders that go on PYTHONPATH (stand-ins).
        versions: pinned version by distribution name.
    """

    name: str
    prefix: str
    python: str
    digest: str
    read_only: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    versions: dict[str, str] = {}


class RunSpec(Record, frozen=True, kw_only=True):
    """One command for the sandbox.

    Attributes:
        name: short slug; names the run's folder under ``.porter/runs``.
        argv: the command; its first word is a path inside the environment.
        mounts: what it may see beside the environment.
        variables: its whole environment besides PATH, HOME and the locale.
        cwd: working folder; must lie in a mount.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str
    mounts: tuple[Mount, ...] = ()
    variables: dict[str, str] = {}
    limits: Limits = Limits()


class RunResult(Record, frozen=True, kw_only=True):
    """What a run left behind.

    Attributes:
        exit_code: the command's own exit code; negative numbers are signals.
        ended: ``exited``, or which limit ended it.
        seconds: wall time.
        command: what was executed, quoted for a shell; running it by hand repeats the run.
        log: file with its standard output and error.
    """

    exit_code: int
    ended: Literal["exited", "timeout", "killed"]
    seconds: float
    command: str
    log: str
