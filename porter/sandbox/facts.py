"""What this machine offers the host sandbox: found out by asking it, once per process and once per run."""

from __future__ import annotations

import functools
import os
import platform
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import msgspec

from porter.errors import SandboxError
from porter.records.sandbox import Environment, HostFacts, RunSpec
from porter.resources import tree
from porter.sandbox.argv import NOBODY, host_argv

_TOOLS = ("env", "bwrap", "prlimit", "setpriv", "unshare", "choom")
_BWRAP_OPTIONS = ("--size", "--perms", "--disable-userns")
_TOP = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_READ_ONLY_FOLDERS = ("/usr", "/sys/devices/system")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ETC = ("/etc/fonts", "/etc/ld.so.cache")
_LIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "nproc": resource.RLIMIT_NPROC,
}
_UNSHARE = (
    ("--net", "--ipc", "--uts", "--pid", "--kill-child=KILL", "--mount-proc"),
    ("--net", "--ipc", "--uts"),
)
_TRUE = RunSpec(name="trial", argv=("/usr/bin/true",), cwd="/usr")
_NO_ENVIRONMENT = Environment(name="none", prefix="/usr", python="", digest="")


@functools.cache
def machine() -> HostFacts:
    """Return what holds for every run of this process.

    bubblewrap counts as there only when a run in it succeeds: some kernels and some containers refuse what it
    needs.

    Raises:
        SandboxError: this is not Linux, or ``env`` is missing.
    """
    if platform.system() != "Linux":
        raise SandboxError(
            "the host sandbox needs Linux",
            why=f"this is {platform.system()}",
            next_step="run porter on a Linux machine",
        )
    tools = {name: path for name in _TOOLS if (path := shutil.which(name, path=SYSTEM_PATH))}
    if "env" not in tools:
        raise SandboxError("the host sandbox needs the program env (GNU coreutils)")
    bare = HostFacts(
        uid=os.getuid(),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        hard_limits=_hard_limits(),
        tools=tools,
        folders=tuple(folder for folder in _folders() if Path(folder).is_dir()),
        links=_links(),
        etc=_etc(),
    )
    found, problem = _bubblewrap(bare)
    if problem:
        found = msgspec.structs.replace(bare, unshare=_unshare_options(bare), problem=problem)
    return found


def for_run(spec: RunSpec, environment: Environment) -> HostFacts:
    """Return :func:`machine` with what depends on the run.

    Raises:
        SandboxError: the run would become a user who cannot read one of its mounts.
    """
    host = machine()
    needed = [environment.prefix, *environment.read_only, *(m.path for m in spec.mounts if not m.writable)]
    if host.uid == 0 and host.bwrap:
        check_open(needed)
        droppable = True
    else:
        everything = [*needed, *(mount.path for mount in spec.mounts if mount.writable)]
        droppable = all(_reachable(path) for path in everything)
    user = NOBODY if host.uid == 0 and droppable else host.uid
    return msgspec.structs.replace(host, droppable=droppable, tasks=_tasks(user))


def check_there(spec: RunSpec) -> None:
    """Refuse a run whose files are gone: somebody removed a worktree, say, while porter ran.

    Raises:
        SandboxError: one of the mounts is not there.
    """
    for mount in spec.mounts:
        if not Path(mount.path).exists():
            raise SandboxError(
                f"{mount.path} is not there, and {spec.name} needs it",
                why="it was removed after porter had made or found it",
                next_step="restore it if it was yours; then porter resume makes again what was porter's",
            )


def check_open(paths: Iterable[str]) -> None:
    """Refuse what the user that a run of root becomes could not read.

    Raises:
        SandboxError: one of the paths is closed to others.
    """
    for path in paths:
        if not _open_to_others(path):
            raise SandboxError(
                f"the sandbox cannot read {path}",
                why="as root, porter runs untrusted files as a user without rights, and that user may "
                "not read this",
                next_step=f"chmod -R o+rX {path}",
            )


def _bubblewrap(bare: HostFacts) -> tuple[HostFacts, str]:
    """Return the facts with bubblewrap, or the reason why it is not used."""
    if "bwrap" not in bare.tools:
        return bare, "it is not installed"
    try:
        known = subprocess.run(
            [bare.tools["bwrap"], "--help"], capture_output=True, text=True, timeout=20, check=False
        )
        options = ("--bind", *(name for name in _BWRAP_OPTIONS if name in known.stdout))
        if bare.uid == 0 and ("--perms" not in options or "setpriv" not in bare.tools):
            return bare, "as root porter needs bubblewrap 0.5 or newer, and setpriv (util-linux)"
        facts = msgspec.structs.replace(bare, bwrap=options)
        trial = subprocess.run(
            host_argv(_TRUE, _NO_ENVIRONMENT, facts), capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return bare, str(error)
    if trial.returncode != 0:
        return bare, trial.stderr.strip() or f"it ended with exit code {trial.returncode}"
    return facts, ""


def _unshare_options(bare: HostFacts) -> tuple[str, ...]:
    if "unshare" not in bare.tools:
        return ()
    for options in _UNSHARE:
        wanted = options if bare.uid == 0 else ("--user", "--map-current-user", *options)
        try:
            trial = subprocess.run(
                [bare.tools["unshare"], *wanted, "--", "/usr/bin/true"],
                capture_output=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if trial.returncode == 0:
            return wanted
    return ()


def _hard_limits() -> dict[str, int]:
    limits = {name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()}
    return {name: value for name, value in limits.items() if value != resource.RLIM_INFINITY}


def _folders() -> Iterable[str]:
    yield from _READ_ONLY_FOLDERS
    yield from (f"/{name}" for name in _TOP if not Path(f"/{name}").is_symlink())


def _links() -> dict[str, str]:
    links = (Path(f"/{name}") for name in _TOP)
    return {str(link): str(link.readlink()) for link in links if link.is_symlink()}


def _etc() -> dict[str, str]:
    own = tree("containers") / "host" / "etc"
    files = {f"/etc/{path.name}": str(path) for path in sorted(own.iterdir())}
    return {**files, **{path: path for path in _ETC if Path(path).exists()}}


def _open_to_others(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise SandboxError(f"the sandbox cannot see {path}", why=str(error)) from error
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted


def _reachable(path: str) -> bool:
    return _open_to_others(path) and all(
        folder.stat().st_mode & stat.S_IXOTH for folder in Path(path).resolve().parents
    )


def _tasks(uid: int) -> int:
    """Return how many processes and threads the user has, as the kernel counts them against ``nproc``."""
    count = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid == uid:
                count += sum(1 for _ in (folder / "task").iterdir())
        except OSError:
            continue
    return count
