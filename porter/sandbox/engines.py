"""The container engines of this machine: found by asking them, called through their own clients."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from porter.errors import SandboxError, UsageError
from porter.records.sandbox import BOUNDS, Engine, EngineChoice
from porter.sandbox.process import printable

ENGINES: tuple[Literal["docker", "podman"], ...] = ("docker", "podman")
"""In the order in which ``auto`` takes them."""

VARIABLE = "PORTER_ENGINE"
_SECONDS = 30
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
_KEPT_FAMILIES = ("DOCKER_", "CONTAINERS_", "CONTAINER_HOST", "CONTAINER_SSHKEY", "REGISTRY_AUTH_FILE")
_SECRET = ("TOKEN", "PASSWORD", "SECRET", "KEY")


def client_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what an engine's client gets of the caller's environment: where its engine is, and no token."""
    return {
        name: value
        for name, value in sorted(variables.items())
        if name in _KEPT
        or (name.startswith(_KEPT_FAMILIES) and not any(word in name for word in _SECRET))
        or name == "CONTAINER_SSHKEY"
    }


def call(
    engine: Engine, arguments: Sequence[str], *, seconds: float = _SECONDS, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the engine's client to its end; its exit code is the caller's to judge.

    Args:
        engine: whose client.
        arguments: what follows the client's name.
        seconds: how long it may take.
        given: its standard input; empty where None.

    Raises:
        SandboxError: the client does not start, or the engine does not answer in time.
    """
    try:
        return subprocess.run(
            [engine.executable, *arguments],
            input=given or b"",
            capture_output=True,
            timeout=seconds,
            check=False,
            env=client_variables(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(
            f"{engine.name} did not answer within {seconds:.0f} s",
            why=f"the command was: {engine.name} {' '.join(arguments[:2])}",
            next_step=f"see whether `{engine.name} ps` answers; restart the engine, then repeat the command",
        ) from error
    except OSError as error:
        raise SandboxError(f"{engine.executable} does not start", why=str(error)) from error


def output(engine: Engine, arguments: Sequence[str], *, seconds: float = _SECONDS) -> str:
    """Return what the engine's client prints.

    Raises:
        SandboxError: it failed; with what it said.
    """
    done = call(engine, arguments, seconds=seconds)
    if done.returncode:
        raise SandboxError(f"{engine.name} {arguments[0]} failed", why=said(done))
    return done.stdout.decode(errors="replace").strip()


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the last lines of what a client complained of."""
    text = printable((done.stderr or done.stdout).decode(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-3:]) or f"exit code {done.returncode}"


@functools.cache
def find(name: Literal["docker", "podman"]) -> Engine | str:
    """Return the engine, or why it cannot be used."""
    executable = shutil.which(name)
    if executable is None:
        return f"{name} is not installed"
    trial = Engine(name=name, executable=str(Path(executable).absolute()), version="")
    try:
        done = call(trial, _ASKED[name], seconds=_SECONDS)
    except SandboxError as error:
        return error.what
    if done.returncode:
        return f"{name} does not answer: {said(done).splitlines()[-1]}"
    try:
        return _facts(trial, json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as error:
        return f"{name} answered something else: {error!r}"


def parse(text: str, where: str) -> EngineChoice:
    """Read the name of an engine.

    Args:
        text: as given.
        where: what it was given with.

    Raises:
        UsageError: there is no such engine.
    """
    for choice in get_args(EngineChoice):
        if text == choice:
            return choice  # type: ignore[no-any-return]
    raise UsageError(
        f"{text} is not an engine.",
        why=f"{where} takes one of: {', '.join(get_args(EngineChoice))}",
        next_step=f"--engine podman, say; without it {VARIABLE} is asked, then auto",
    )


def preferred(wanted: EngineChoice) -> EngineChoice:
    """Return what ``auto`` means here: what ``PORTER_ENGINE`` says, where it is set.

    Raises:
        UsageError: it names no engine.
    """
    return parse(os.environ.get(VARIABLE) or wanted, VARIABLE) if wanted == "auto" else wanted


def choose(wanted: EngineChoice) -> Engine | None:
    """Return the engine to use; None is the host sandbox.

    Args:
        wanted: ``auto`` takes what ``PORTER_ENGINE`` says, else docker, then podman, then the host.

    Raises:
        SandboxError: the engine that was named cannot be used.
        UsageError: ``PORTER_ENGINE`` names no engine.
    """
    wanted = preferred(wanted)
    if wanted == "host":
        return None
    if wanted == "auto":
        return next((found for name in ENGINES if isinstance(found := find(name), Engine)), None)
    found = find(wanted)
    if isinstance(found, Engine):
        return found
    raise SandboxError(
        f"The engine {wanted} was asked for and cannot be used.",
        why=found,
        next_step=f"install or start {wanted}, or take another: --engine auto|docker|podman|host",
    )


def why(wanted: EngineChoice) -> str:
    """Say in a few words why :func:`choose` answers what it does."""
    if wanted != "auto":
        return "asked for"
    if preferred(wanted) != "auto":
        return f"{VARIABLE} says so"
    passed: list[str] = []
    for name in ENGINES:
        found = find(name)
        if isinstance(found, Engine):
            return "; ".join(["the first that answers", *passed])
        passed.append(found)
    return "; ".join(passed)


_ASKED: dict[str, tuple[str, ...]] = {
    "docker": ("version", "--format", "{{json .}}"),
    "podman": ("info", "--format", "json"),
}


def _facts(trial: Engine, answer: dict[str, dict[str, object]]) -> Engine:
    import msgspec

    if trial.name == "docker":
        version, rootless, bounds = str(answer["Server"]["Version"]), False, BOUNDS
    else:
        host: dict[str, dict[str, object]] = answer["host"]  # type: ignore[assignment]
        version, rootless = str(answer["version"]["Version"]), bool(host["security"]["rootless"])
        listed = host.get("cgroupControllers") or ()
        bounds = tuple(name for name in BOUNDS if name in listed)
    return msgspec.structs.replace(
        trial,
        version=version,
        rootless=rootless,
        selinux=_selinux(),
        bounds=bounds,
        # Naming any limit makes Podman forget those of its configuration.
        hard_limits=_hard_limits() if trial.name == "podman" else {},
    )


def _hard_limits() -> dict[str, int]:
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(number)[1] for name, number in limits.items()}
    with contextlib.suppress(OSError, ValueError):
        # Podman lowers its own limit to this, and may then not raise that of a container.
        pids = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
        hard["nproc"] = min(pids, hard["nproc"]) if hard["nproc"] >= 0 else pids
    return {name: value for name, value in hard.items() if value != resource.RLIM_INFINITY}


def _selinux() -> bool:
    try:
        return Path("/sys/fs/selinux/enforce").read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
