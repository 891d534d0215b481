"""What a sandbox is asked to run and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from porter.records.base import Record


class Mount(Record, frozen=True, kw_only=True):
    """A host path that is visible inside, under the same path unless *at* names another one.

    Only containers show a path elsewhere: the worktrees under ``/workspace`` too, and the folders of a run.
    """

    path: str
    writable: bool = False
    at: str = ""

    @property
    def inside(self) -> str:
        """The path that a run sees."""
        return self.at or self.path


class Limits(Record, frozen=True, kw_only=True):
    """Bounds of one run. Bytes and seconds; *cpus* are processors, 0 for all of them.

    *file_bytes* bounds one file, *written_bytes* what a run adds to its writable mounts altogether.
    """

    seconds: int = 900
    memory_bytes: int = 20 * 2**30
    file_bytes: int = 16 * 2**30
    written_bytes: int = 32 * 2**30
    processes: int = 2048
    cpus: int = 0


class LimitSettings(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a user sets instead of the usual bounds; the table ``limits`` of ``porter.toml``.

    Attributes:
        minutes: time of a run that has no longer time of its own.
        memory_gb, written_gb: in 2**30 bytes.
        processes: processes and threads of a run.
        cpus: processors.
    """

    minutes: Annotated[int, Meta(ge=1)] | None = None
    memory_gb: Annotated[int, Meta(ge=1)] | None = None
    written_gb: Annotated[int, Meta(ge=1)] | None = None
    processes: Annotated[int, Meta(ge=64)] | None = None
    cpus: Annotated[int, Meta(ge=1)] | None = None

    def applied(self, limits: Limits) -> Limits:
        """Return the bounds of a run with what is set here; a run that was given more time keeps it."""
        minutes = self.minutes or 0
        given = {
            "seconds": max(minutes * 60, limits.seconds if limits.seconds > Limits().seconds else 0),
            "memory_bytes": (self.memory_gb or 0) * 2**30,
            "written_bytes": (self.written_gb or 0) * 2**30,
            "processes": self.processes,
            "cpus": self.cpus,
        }
        return msgspec.structs.replace(limits, **{name: value for name, value in given.items() if value})


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
        image: container image whose system it is used in; empty for the host sandbox.
        baked: whether prefix and interpreter lie in that image; otherwise the prefix is the host's and shown
            to the container. An image of NVIDIA's has no prefix at all.
        gpu: whether its runs get the GPUs of the machine.
    """

    name: str
    prefix: str
    python: str
    digest: str
    read_only: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    devices: tuple[str, ...] = ()
    image: str = ""
    baked: bool = False
    gpu: bool = False


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


BOUNDS: tuple[str, ...] = ("cpu", "memory", "pids")
"""The controllers of the kernel that the limits of a container need."""


class Engine(Record, frozen=True, kw_only=True):
    """A container engine of this machine that answers.

    Attributes:
        executable: absolute path of its client.
        version: of what runs the containers: of the daemon, for Docker.
        rootless: whether its containers belong to a user namespace of the caller's.
        selinux: whether the kernel enforces SELinux labels on what a container reads.
        bounds: what the kernel bounds for a whole container; without a controller Podman ignores the option.
        hard_limits: the caller's own by ulimit name, which an engine without a daemon cannot raise.
    """

    name: Literal["docker", "podman"]
    executable: str
    version: str
    rootless: bool = False
    selinux: bool = False
    bounds: tuple[str, ...] = BOUNDS
    hard_limits: dict[str, int] = {}


EngineName = Literal["docker", "podman", "host"]
EngineChoice = Literal["auto", "docker", "podman", "host"]
Profile = Literal["inspect", "gate"]


class Container(Record, frozen=True, kw_only=True):
    """A container that serves runs by ``exec``.

    Attributes:
        image: what it is started from; never pulled by the start.
        python: interpreter inside, which also keeps the container alive.
        profile: ``inspect`` for untrusted model files, ``gate`` for the code of a port.
        mounts: everything of the host that it sees.
        limits: bounds of the whole container.
        uid: user and group of its processes.
        labels: what tells whose it is.
        gpu: whether it gets the GPUs.
    """

    name: str
    image: str
    python: str
    profile: Profile
    mounts: tuple[Mount, ...]
    limits: Limits
    uid: int
    labels: dict[str, str]
    cwd: str = "/"
    gpu: bool = False


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
