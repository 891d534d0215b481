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
    processes: int = 2048


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
        devices: device nodes that its runs may use, beside the harmless ones.
    """

    name: str
    prefix: str
    python: str
    digest: str
    read_only: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    devices: tuple[str, ...] = ()


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


class HostFacts(Record, frozen=True, kw_only=True):
    """What this machine offers the host sandbox, for one run.

    Attributes:
        uid: the caller's user.
        droppable: whether a run of root may become another user: everything that it needs can be reached
            by others. Always true inside bubblewrap, which shows nothing else.
        cpus: processors that this process may use.
        memory_bytes: memory of the machine.
        tasks: processes and threads that the run's user has already.
        hard_limits: the caller's own hard limits by prlimit name, where it has any.
        tools: absolute path by name (``env``, ``bwrap``, ``prlimit``, ``setpriv``, ``unshare``, ``choom``).
        bwrap: options that the installed bubblewrap knows; empty where it is absent or does not work.
        unshare: options with which ``unshare`` works here; only looked for where bubblewrap does not.
        folders, links: what an isolated run sees of the system, read-only (``/usr``), and its top-level
            symbolic links with their targets.
        etc: the few files of its ``/etc``: path on the host by path inside.
        problem: why bubblewrap is not used, in its own words.
    """

    uid: int
    droppable: bool = True
    cpus: int = 1
    memory_bytes: int
    tasks: int = 0
    hard_limits: dict[str, int] = {}
    tools: dict[str, str]
    bwrap: tuple[str, ...] = ()
    unshare: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    links: dict[str, str] = {}
    etc: dict[str, str] = {}
    problem: str = ""


class RunResult(Record, frozen=True, kw_only=True):
    """What a run left behind.

    Attributes:
        exit_code: the command's own exit code; negative numbers are signals.
        ended: ``exited``, or which limit ended it: the time, or another that porter watches.
        reason: what porter ended it for; empty where it ended by itself.
        seconds: wall time.
        command: what was executed, quoted for a shell; running it by hand repeats the run.
        log: file with its standard output and error.
    """

    exit_code: int
    ended: Literal["exited", "timeout", "killed"]
    reason: str = ""
    seconds: float
    command: str
    log: str
