"""Which platforms can be used now: asked of each within seconds, and nothing is made there."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Collection
from typing import TypeVar, get_args

from porter import cache
from porter.errors import PorterError, SandboxError, UsageError
from porter.launch import cluster, daemon, routing
from porter.launch.drivers.base import EXTRA
from porter.records.platforms import PlatformCheck, PlatformState
from porter.records.training import Credential, Platform

T = TypeVar("T")

_MODULES: dict[Platform, tuple[str, ...]] = {
    "docker": ("tao_sdk", "docker"),
    "kubernetes": ("tao_sdk", "kubernetes"),
    "slurm": ("tao_sdk",),
    "brev": ("tao_sdk",),
    "virtualenv": ("tao_sdk",),
}
_PROGRAMS: dict[Platform, tuple[str, str]] = {
    "slurm": ("ssh", "install an SSH client: sudo apt-get install openssh-client"),
    "brev": ("brev", "install Brev's command line: https://github.com/brevdev/brev-cli"),
}
_ENVIRONMENTS = ("tao-pytorch-7.0.1",)
_SPARE_SECONDS = 0.5
"""What a connection gets to say by itself that it took too long."""


def states(wanted: str = "") -> tuple[PlatformState, ...]:
    """Return the state of every platform, or of one.

    Args:
        wanted: a platform's name; empty for all.

    Raises:
        UsageError: there is no such platform.
    """
    names: tuple[Platform, ...] = get_args(Platform)
    if wanted and wanted not in names:
        raise UsageError(f"--platform {wanted}: expected one of {', '.join(names)}.")
    present = {name for name, value in os.environ.items() if value}
    return tuple(state(name, present) for name in names if wanted in ("", name))


def state(platform: Platform, present: Collection[str]) -> PlatformState:
    """Return whether a platform can be used.

    Args:
        platform: its name.
        present: names of the variables that the environment has.
    """
    checks = [_extra(platform)]
    if checks[0].ok:
        checks += _LOOKED[platform]()
    checks += [
        PlatformCheck(
            name=one.name, ok=one.present, found="set" if one.present else "not set", next_step=_set(one)
        )
        for one in routing.known(platform, present)
        if one.required
    ]
    return PlatformState(
        platform=platform,
        usable=all(check.ok or not check.required for check in checks),
        checks=tuple(checks),
        credentials=routing.known(platform, present),
    )


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns.

    Raises:
        TimeoutError: it took longer; it goes on by itself, and ends with the process.
        Exception: what the call raises.
    """
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return result.result(timeout=seconds)
    except concurrent.futures.TimeoutError as error:
        raise TimeoutError(f"no answer within {seconds:g} s") from error


def _set(credential: Credential) -> str:
    return "" if credential.present else f"set {credential.name}: {credential.where}"


def _extra(platform: Platform) -> PlatformCheck:
    missing = [name for name in _MODULES[platform] if importlib.util.find_spec(name) is None]
    found = f"{', '.join(missing)} not installed" if missing else f"{', '.join(_MODULES[platform])} installed"
    return PlatformCheck(name="extra", ok=not missing, found=found, next_step=EXTRA if missing else "")


def _docker() -> list[PlatformCheck]:
    try:
        podman, gpus = within(daemon.SECONDS + _SPARE_SECONDS, _ask_engine)
    except (PorterError, TimeoutError) as error:
        return [_failed("engine", error, "see whether the engine answers: docker info")]
    found = "Podman answers in Docker's place" if podman else "Docker answers"
    where = daemon.VARIABLE if os.environ.get(daemon.VARIABLE) else str(daemon.DEFAULT)
    return [
        PlatformCheck(name="engine", ok=True, found=f"{found} at {where}"),
        PlatformCheck(
            name="gpus",
            ok=gpus,
            required=False,
            found="it has NVIDIA's runtime, or devices"
            if gpus
            else "it has no runtime of NVIDIA's: no job sees a GPU",
            next_step="" if gpus else _GPUS[podman],
        ),
    ]


_GPUS = {
    False: "sudo nvidia-ctk runtime configure --runtime=docker, then restart Docker",
    True: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
}


def _ask_engine() -> tuple[bool, bool]:
    client = daemon.connect()
    try:
        return daemon.is_podman(client), daemon.gives_gpus(client)
    except Exception as error:
        raise SandboxError(
            "The engine answers, and not as Docker does.",
            why=type(error).__name__,
            next_step=f"see whether docker info works; {daemon.VARIABLE} says which engine is asked",
        ) from error


def _kubernetes() -> list[PlatformCheck]:
    config, context = cluster.configured()
    if not (config.ok and context.ok):
        return [check for check in (config, context) if check.found]
    try:
        version = within(cluster.SECONDS, cluster.ask)
    except (PorterError, TimeoutError) as error:
        return [config, context, _failed("cluster", error, "see what it says: kubectl cluster-info")]
    return [config, context, PlatformCheck(name="cluster", ok=True, found=f"Kubernetes {version} answers")]


def _program(platform: Platform) -> list[PlatformCheck]:
    program, fix = _PROGRAMS[platform]
    there = shutil.which(program) is not None
    found = "on PATH" if there else "not on PATH"
    return [PlatformCheck(name=program, ok=there, found=found, next_step="" if there else fix)]


def _virtualenv() -> list[PlatformCheck]:
    from porter.sandbox import environments

    built, problem = [], ""
    for name in _ENVIRONMENTS:
        try:
            if environments.find(name) is not None:
                built.append(name)
        except SandboxError as error:
            problem = error.what
    found = f"{', '.join(built)} in {cache.root() / 'envs'}" if built else problem or "none built yet"
    fix = "" if built else "the first job builds one; or --venv DIR names one with TAO in it"
    return [PlatformCheck(name="environment", ok=bool(built), required=False, found=found, next_step=fix)]


def _failed(name: str, error: PorterError | TimeoutError, fix: str) -> PlatformCheck:
    if isinstance(error, PorterError):
        why = f" ({error.why})" if error.why else ""
        return PlatformCheck(
            name=name, ok=False, found=error.what.rstrip(".") + why, next_step=error.next_step or fix
        )
    return PlatformCheck(name=name, ok=False, found=str(error), next_step=fix)


_LOOKED: dict[Platform, Callable[[], list[PlatformCheck]]] = {
    "docker": _docker,
    "kubernetes": _kubernetes,
    "slurm": lambda: _program("slurm"),
    "brev": lambda: _program("brev"),
    "virtualenv": _virtualenv,
}
