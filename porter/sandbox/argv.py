"""The command of a run in the host sandbox: a pure function of what is asked for and what the host has.

Outermost ``env -i`` takes the caller's variables away from every process of the run, the sandbox's own
first process included (what it was started with can be read inside, under ``/proc/1``). Then comes what
separates the run from the machine (bubblewrap, or as much of it as ``unshare`` gives), the limits, the change
of user, and the program.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from porter.errors import SandboxError
from porter.records.sandbox import Environment, HostFacts, Limits, Mount, RunSpec

NOBODY = 65534
"""User and group that a run of root gets, and that every isolated run sees itself as."""

_HOME = "/tmp/home"  # noqa: S108 - inside the sandbox, where it is a file system of its own

_QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TELEMETRY_OPT_OUT": "yes",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}

_FORBIDDEN = frozenset(
    (
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/proc",
        "/root",
        "/run",
        "/sys",
        "/tmp",  # noqa: S108
        "/usr",
        "/var",
    )
)


def isolation(host: HostFacts) -> Literal["isolated", "limited"]:
    """Return ``isolated`` where bubblewrap does the work, else ``limited``."""
    return "isolated" if host.bwrap else "limited"


def run_user(host: HostFacts) -> int:
    """Return the user, as the host sees it, that the program runs as."""
    return NOBODY if host.uid == 0 and host.droppable else host.uid


def reports_signals_as_shells_do(host: HostFacts) -> bool:
    """Return whether a program that a signal ended is told as exit code 128 and the signal's number."""
    return bool(host.bwrap) or "--pid" in host.unshare


def host_argv(spec: RunSpec, environment: Environment, host: HostFacts) -> tuple[str, ...]:
    """Return the whole command that runs *spec*.

    Args:
        spec: what to run; its mounts and working folder are absolute.
        environment: the Python environment that it runs in.
        host: what this machine has, for these mounts.

    Raises:
        SandboxError: a mount is one that no run may have, or the working folder is in none.
    """
    check(spec, environment)
    return (
        *_clean_environment(spec, environment, host),
        *_last_to_live(host),
        *(_bubblewrap(spec, environment, host) if host.bwrap else _unshare(host)),
        *_limits(spec.limits, host),
        *_user(host),
        *spec.argv,
    )


def preparation(spec: RunSpec, host: HostFacts) -> tuple[str, ...]:
    """Return the command that gives the writable mounts to the run's user; empty where that is not needed."""
    folders = [mount.path for mount in spec.mounts if mount.writable]
    if not folders or run_user(host) == host.uid:
        return ()
    return ("chown", "-hR", f"{NOBODY}:{NOBODY}", "--", *folders)


def variables(spec: RunSpec, environment: Environment, host: HostFacts) -> dict[str, str]:
    """Return the whole environment of the program, sorted by name.

    The spec's own variables win; its PYTHONPATH is put before the environment's stand-ins.
    """
    python_path = [spec.variables.get("PYTHONPATH", ""), *environment.python_path]
    path = ":".join(part for part in python_path if part)
    merged = {
        **common_variables(host.cpus),
        "HOME": _HOME,
        "PATH": f"{environment.prefix}/bin:/usr/bin:/bin",
        **spec.variables,
        **({"PYTHONPATH": path} if path else {}),
    }
    return dict(sorted(merged.items()))


def common_variables(threads: int) -> dict[str, str]:
    """Return what every run finds in its environment, on every engine."""
    return {
        "LANG": "C.UTF-8",
        "LOGNAME": "porter",
        "MKL_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        "USER": "porter",
        **_QUIET,
    }


def _clean_environment(spec: RunSpec, environment: Environment, host: HostFacts) -> Iterator[str]:
    yield host.tools["env"]
    yield "-i"
    if not host.bwrap:
        yield f"--chdir={spec.cwd}"
    for name, value in variables(spec, environment, host).items():
        yield f"{name}={value}"


def _last_to_live(host: HostFacts) -> Iterator[str]:
    # Where memory runs out, the kernel ends the run and not somebody's desktop.
    if "choom" in host.tools:
        yield from (host.tools["choom"], "-n", "1000", "--")


def _bubblewrap(spec: RunSpec, environment: Environment, host: HostFacts) -> Iterator[str]:
    yield from (host.tools["bwrap"], "--die-with-parent", "--new-session")
    yield from ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    if host.uid != 0:
        yield from ("--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY))
        if "--disable-userns" in host.bwrap:
            yield "--disable-userns"
    yield from ("--hostname", "sandbox")
    for link, target in sorted(host.links.items()):
        yield from ("--symlink", target, link)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for device in environment.devices:
        yield from ("--dev-bind-try", device, device)
    size = str(spec.limits.memory_bytes // 4)
    for folder in ("/dev/shm", "/tmp"):  # noqa: S108
        yield from _bounded(host, size, "1777")
        yield from ("--tmpfs", folder)
    yield from _bounded(host, "", "0777")
    yield from ("--dir", _HOME)
    mounts = _mounts(spec, environment)
    shown = [*host.folders, *host.etc, *(mount.path for mount in mounts)]
    for folder in _parents(shown):
        # bubblewrap would make it for its own user alone.
        yield from _bounded(host, "", "0755")
        yield from ("--dir", folder)
    for folder in host.folders:
        yield from ("--ro-bind", folder, folder)
    for inside, outside in sorted(host.etc.items()):
        yield from ("--ro-bind", outside, inside)
    for mount in mounts:
        yield from ("--bind" if mount.writable else "--ro-bind", mount.path, mount.path)
    # What bubblewrap itself made is memory without a bound.
    yield from ("--remount-ro", "/dev", "--remount-ro", "/")
    yield from ("--chdir", spec.cwd, "--")


def _parents(paths: list[str]) -> list[str]:
    """Return every folder above the paths once, outer ones first; ``/`` and ``/tmp`` are there already."""
    found = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    there = {"/", "/tmp"}  # noqa: S108
    return sorted(found - there, key=lambda path: PurePosixPath(path).parts)


def _bounded(host: HostFacts, size: str, mode: str) -> Iterator[str]:
    if size and "--size" in host.bwrap:
        yield from ("--size", size)
    if "--perms" in host.bwrap:
        yield from ("--perms", mode)


def _unshare(host: HostFacts) -> Iterator[str]:
    if host.unshare:
        if "setpriv" in host.tools:
            # unshare ends its child when it is ended, but would itself outlive a porter that is killed.
            yield from (host.tools["setpriv"], "--pdeathsig", "KILL", "--")
        yield from (host.tools["unshare"], *host.unshare, "--")
    if "--pid" in host.unshare:
        # The first process of a namespace ignores signals to itself; a program that aborts would not end.
        yield from ("/bin/sh", "-c", '"$@"; exit "$?"', "sh")


def _limits(limits: Limits, host: HostFacts) -> Iterator[str]:
    """Yield the limits, none above the hard limit that the caller has itself.

    Memory is bounded as data, not as address space: thread stacks and allocator arenas reserve far more of
    the latter than they ever use, the more so the more cores there are.
    """
    if "prlimit" not in host.tools:
        return
    wanted = {
        "core": 0,
        "cpu": limits.seconds * host.cpus + 60,
        "data": min(limits.memory_bytes, host.memory_bytes),
        "fsize": limits.file_bytes,
        # The kernel counts every process and thread of the user, those outside of this run too.
        "nproc": limits.processes + host.tasks,
    }
    yield host.tools["prlimit"]
    for name, value in wanted.items():
        yield f"--{name}={min(value, host.hard_limits.get(name, value))}"
    yield "--"


def _user(host: HostFacts) -> Iterator[str]:
    if "setpriv" not in host.tools:
        return
    yield from (host.tools["setpriv"], "--no-new-privs")
    if host.uid == 0:
        if host.droppable:
            yield from (f"--reuid={NOBODY}", f"--regid={NOBODY}")
        yield from ("--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
    if not host.bwrap and not host.unshare:
        yield from ("--pdeathsig", "KILL")
    yield "--"


def _mounts(spec: RunSpec, environment: Environment) -> list[Mount]:
    """Return every mount once, parents before what lies in them; writable wins over read-only."""
    paths = [environment.prefix, *environment.read_only]
    merged = {path: Mount(path=path) for path in paths if not _under(path, "/usr")}
    for mount in spec.mounts:
        if mount.writable or mount.path not in merged:
            merged[mount.path] = mount
    return [merged[path] for path in sorted(merged, key=lambda path: PurePosixPath(path).parts)]


def check(spec: RunSpec, environment: Environment) -> None:
    """Refuse a run that asks for what no run may have, on any engine.

    Raises:
        SandboxError: a mount is one that no run may have, or the working folder is in none.
    """
    for mount in spec.mounts:
        path = os.path.normpath(mount.path)
        if not path.startswith("/") or path in _FORBIDDEN or path != mount.path:
            raise SandboxError(
                f"the sandbox does not show {mount.path} to a run",
                why="a mount is the absolute path of one folder or file, and never a folder of the system",
                next_step="put the files into a folder of their own and name that",
            )
        if ":" in mount.path and mount.path in spec.variables.get("PYTHONPATH", ""):
            raise SandboxError(
                f"a folder with a colon in its name cannot be on PYTHONPATH: {mount.path}",
                next_step="use a workspace whose path has no colon",
            )
    visible = [environment.prefix, *(mount.inside for mount in spec.mounts)]
    if not any(_under(spec.cwd, path) for path in visible):
        raise SandboxError(f"the working folder {spec.cwd} of the run {spec.name} lies in none of its mounts")


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
