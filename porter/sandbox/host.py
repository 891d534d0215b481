"""The host sandbox: bubblewrap where it works, and as much as can be had where it does not."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from porter.errors import SandboxError
from porter.records.sandbox import Environment, HostFacts, Mount, RunResult, RunSpec
from porter.sandbox import facts
from porter.sandbox.argv import (
    host_argv,
    isolation,
    preparation,
    reports_signals_as_shells_do,
    run_user,
)
from porter.sandbox.base import COMMAND, LOG, Sandbox, new_run_folder, tail
from porter.sandbox.process import Ended, execute
from porter.sandbox.shown import lent, with_real_paths, write_script

_SCRATCH = "scratch"


class HostSandbox(Sandbox):
    """Runs commands on this machine, separated from it as far as it allows."""

    @property
    def isolation(self) -> Literal["isolated", "limited"]:
        """Whether bubblewrap separates the runs."""
        return isolation(facts.machine())

    @property
    def notice(self) -> str:
        """What is not protected, and how to change that; empty where bubblewrap works."""
        return notice(facts.machine())

    def interactive(self, spec: RunSpec) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the command, and its environment, that gives a person a terminal where runs take place."""
        spec, environment = with_real_paths(self.bounded(spec)), _with_real_prefix(self.environment)
        return host_argv(spec, environment, facts.for_run(spec, environment)), {}

    def run(
        self, spec: RunSpec, on_line: Callable[[str], None] | None = None, *, folder: Path | None = None
    ) -> RunResult:
        """Run one command and wait for its end.

        Writable mounts belong to the run's user for as long as it runs, and to the caller again afterwards.

        Args:
            spec: what to run and what it may see.
            on_line: told each line of its output.
            folder: where log and command are kept; None makes a new folder under :attr:`runs`.

        Raises:
            SandboxError: the sandbox itself could not start. A command that fails is no error.
        """
        kept = new_run_folder(self.runs, spec.name) if folder is None else folder
        spec, environment = with_real_paths(self.bounded(spec)), _with_real_prefix(self.environment)
        facts.check_there(spec)
        host = facts.for_run(spec, environment)
        if not host.bwrap:
            spec = _with_scratch(spec, kept / _SCRATCH)
        argv = host_argv(spec, environment, host)
        before = preparation(spec, host)
        command = " && ".join(shlex.join(part) for part in (before, argv) if part)
        write_script(kept / COMMAND, command)
        user = run_user(host)
        writable = [mount.path for mount in spec.mounts if mount.writable]
        with lent(writable, user):
            ended = execute(argv, kept / LOG, spec.limits, on_line, folders=writable)
        if not host.bwrap:
            shutil.rmtree(kept / _SCRATCH, ignore_errors=True)
            (kept / _SCRATCH).mkdir(exist_ok=True)
        _check_started(ended, kept / LOG, host)
        return RunResult(
            exit_code=_own_code(ended, host),
            ended=ended.how,
            reason=ended.reason,
            seconds=round(ended.seconds, 3),
            command=command,
            log=str(kept / LOG),
        )


def notice(host: HostFacts) -> str:
    """Return what is not protected on this machine, in full; empty where bubblewrap separates the runs."""
    if host.bwrap:
        return ""
    lines = [
        "NOT ISOLATED: model files and generated code run on this machine without bubblewrap "
        f"({host.problem}).",
        "Taken away: your environment variables and the tokens in them; time, memory, file size and "
        "number of processes are limited.",
        "NOT protected: files that your user can read, such as keys and tokens in your home folder.",
    ]
    if not any(option.startswith("--net") for option in host.unshare):
        lines.append("NOT protected: the network; a hostile model can send what it reads.")
    if not any(option.startswith("--pid") for option in host.unshare):
        lines.append("NOT protected: a program that detaches itself can outlive its run.")
    lines.append(f"To change that: {remedy(host)}")
    return "\n".join(lines)


def remedy(host: HostFacts) -> str:
    """Return the command that makes bubblewrap work, as far as it is known."""
    if "bwrap" not in host.tools:
        return "apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL)"
    if "uid map" in host.problem or "namespace" in host.problem:
        return (
            "allow user namespaces for bwrap: an AppArmor profile for it (Ubuntu 24.04: sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0), or sysctl kernel.unprivileged_userns_clone=1"
        )
    return "make this work: bwrap --ro-bind / / true"


def _check_started(ended: Ended, log: Path, host: HostFacts) -> None:
    """Raise where one of the sandbox's own tools ended the run before the program began."""
    if ended.how != "exited" or ended.code == 0:
        return
    said = tail(log, 2).splitlines()
    if len(said) == 1 and said[0].split(":")[0] in {*host.tools, *host.tools.values()}:
        raise SandboxError(
            "the sandbox could not start a run",
            why=said[0],
            next_step=f"repeat it by hand: sh {log.parent / COMMAND}",
        )


def _own_code(ended: Ended, host: HostFacts) -> int:
    if reports_signals_as_shells_do(host) and 128 < ended.code <= 128 + 64:
        return 128 - ended.code
    return ended.code


def _with_scratch(spec: RunSpec, scratch: Path) -> RunSpec:
    scratch.mkdir(exist_ok=True)
    return msgspec.structs.replace(
        spec,
        mounts=(*spec.mounts, Mount(path=str(scratch), writable=True)),
        variables={**spec.variables, "HOME": str(scratch), "TMPDIR": str(scratch)},
    )


def _with_real_prefix(environment: Environment) -> Environment:
    paths = (environment.prefix, *environment.read_only)
    real = [path for path in map(os.path.realpath, paths) if path not in paths]
    return msgspec.structs.replace(environment, read_only=(*environment.read_only, *dict.fromkeys(real)))
