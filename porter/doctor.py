"""Phase 0: what this machine has. Only an image that was named is fetched; nothing is installed."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from porter import cache, machine, secrets, tao_images
from porter.errors import PorterError, SandboxError
from porter.records.gates import GateResult
from porter.records.sandbox import Engine, EngineChoice, HostFacts
from porter.sandbox import (
    base_image,
    container_argv,
    engines,
    environments,
    facts,
    interpreters,
    requirements,
)
from porter.sandbox.host import notice, remedy

MINIMUM_PYTHON = (3, 10)
MINIMUM_GIT = (2, 34)
WORKING_GIGABYTES = 5.0
"""Room that a port asks for beside the environment: checkpoints, training output, graphs."""

_START_SECONDS = 60


def checks(
    wanted: EngineChoice = "auto",
    images: Mapping[str, str] | None = None,
    *,
    environment: str = "tao-pytorch-7.0.1",
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> tuple[GateResult, ...]:
    """Return one result for every prerequisite, in the order in which they are listed.

    Args:
        wanted: the engine that was asked for.
        images: NVIDIA's image by repository, where one was named.
        environment: requirement set of the release that is ported to.
        folder: for the output of the engine; None fetches no image.
        progress: told each line of it.
    """
    try:
        engine = engines.choose(wanted)
    except SandboxError as error:
        refused = GateResult(
            gate="prerequisites-isolation",
            state="failed",
            summary=error.what,
            cause=error.why,
            fix=error.next_step,
        )
        return (check_python(), check_git(), refused)
    gpu = machine.check_gpu()
    return (
        check_python(),
        check_git(),
        check_isolation() if engine is None else check_engine(engine, engines.why(wanted)),
        check_environment(environment),
        check_disk(environment),
        gpu,
        machine.check_toolkit(engine, gpu),
        check_token(),
        check_registry(images or {}),
        check_images(engine, images or {}, folder, progress),
    )


def check_python() -> GateResult:
    """Check the Python that porter itself runs with."""
    version = platform.python_version()
    good = sys.version_info[:2] >= MINIMUM_PYTHON
    return GateResult(
        gate="prerequisites-python",
        state="passed" if good else "failed",
        summary=f"Python {version}",
        evidence={"version": version, "executable": sys.executable},
        fix="" if good else f"install Python {machine.dotted(MINIMUM_PYTHON)} or newer",
    )


def check_git() -> GateResult:
    """Check that git is there and new enough."""
    said = machine.ask(["git", "--version"])
    found = re.search(r"(\d+)\.(\d+)", said or "")
    if said is None or found is None:
        return GateResult(
            gate="prerequisites-git",
            state="failed",
            summary="git is not installed, or not on PATH",
            fix=f"install git {machine.dotted(MINIMUM_GIT)} or newer",
        )
    good = (int(found[1]), int(found[2])) >= MINIMUM_GIT
    return GateResult(
        gate="prerequisites-git",
        state="passed" if good else "failed",
        summary=said if good else f"{said} is older than {machine.dotted(MINIMUM_GIT)}",
        evidence={"version": said},
        fix="" if good else f"install git {machine.dotted(MINIMUM_GIT)} or newer",
    )


def check_isolation() -> GateResult:
    """Check that the host sandbox separates what runs in it, by a run in it."""
    gate = "prerequisites-isolation"
    try:
        host = facts.machine()
    except SandboxError as error:
        return GateResult(gate=gate, state="failed", summary=error.what, cause=error.why, fix=error.next_step)
    if host.bwrap:
        version = machine.ask([host.tools["bwrap"], "--version"]) or "bubblewrap"
        return GateResult(
            gate=gate,
            state="passed",
            summary=f"{version}: no network, no files but those named, {_as_whom(host)}",
            evidence={"bubblewrap": version, "root": host.uid == 0},
        )
    return GateResult(
        gate=gate,
        state="blocked",
        summary=f"bubblewrap: {host.problem}; unblock: {remedy(host)}",
        evidence={"unshare": list(host.unshare)},
        cause=notice(host),
        fix=remedy(host),
    )


def check_engine(engine: Engine, why: str) -> GateResult:
    """Check that a container starts."""
    gate = "prerequisites-isolation"
    evidence = {"engine": engine.name, "version": engine.version, "why": why, "rootless": engine.rootless}
    try:
        image = base_image.ensure(engine, interpreters.this())
        done = engines.call(engine, container_argv.trial_argv(image), seconds=_START_SECONDS)
    except SandboxError as error:
        return GateResult(gate=gate, state="failed", summary=error.what, cause=error.why, fix=error.next_step)
    if done.returncode:
        return GateResult(
            gate=gate,
            state="failed",
            summary=f"{engine.name} {engine.version} starts no container",
            evidence=evidence,
            cause=engines.said(done),
            fix="see that `docker run` or `podman run` work by hand, or take --engine host",
        )
    return GateResult(
        gate=gate,
        state="passed",
        summary=f"{engine.name} {engine.version} ({why}): no network, no files but those named, a user "
        f"without rights{_unbounded(engine)}",
        evidence=evidence,
    )


def _unbounded(engine: Engine) -> str:
    """Say what is bounded for single processes only, for want of a controller of the kernel."""
    missing = [name for name in ("memory", "pids") if name not in engine.bounds]
    if not missing:
        return ""
    what = " and ".join("number of processes" if name == "pids" else name for name in missing)
    return f"; {what} not bounded for a container as a whole: rootless, without control groups of its own"


def check_environment(name: str) -> GateResult:
    """Check that the release's environment is built; nothing is built here."""
    gate = "prerequisites-environment"
    try:
        place = environments.locate(name)
        found = environments.find(name)
    except SandboxError as error:
        return GateResult(gate=gate, state="failed", summary=error.what, cause=error.why, fix=error.next_step)
    wanted = place.requirements
    if found is None:
        return GateResult(
            gate=gate,
            state="blocked",
            summary=f"{name} is not built yet; the first port builds it: {wanted.gigabytes:.0f} GB, about "
            f"{wanted.minutes} minutes, with Python {place.interpreter.version}",
            evidence={"prefix": place.prefix, "gigabytes": wanted.gigabytes, "minutes": wanted.minutes},
        )
    return GateResult(
        gate=gate,
        state="passed",
        summary=f"{wanted.title}, Python {place.interpreter.minor}, {len(found.versions)} pinned packages",
        evidence={"prefix": found.prefix, "digest": found.digest, "packages": len(found.versions)},
    )


def check_disk(name: str) -> GateResult:
    """Check that there is room for the environment, where it is still to be built, and for a port."""
    folder = cache.root()
    try:
        built = environments.find(name) is not None
        needed = WORKING_GIGABYTES if built else environments.room_needed(requirements.read_set(name))
    except SandboxError:
        needed = WORKING_GIGABYTES
    free = shutil.disk_usage(_existing(folder)).free / 1e9
    good = free >= needed
    return GateResult(
        gate="prerequisites-disk",
        state="passed" if good else "failed",
        summary=f"{free:.0f} GB free at {folder}; {needed:.0f} GB needed",
        evidence={"free_gigabytes": round(free, 1), "needed_gigabytes": needed, "folder": str(folder)},
        fix="" if good else "free some space, or set PORTER_CACHE to a folder on a larger disk",
    )


def check_registry(images: Mapping[str, str]) -> GateResult:
    """Say whether NVIDIA's registry can be asked; only a pull proves the key."""
    gate = "prerequisites-registry"
    if not secrets.registry_key():
        return GateResult(
            gate=gate,
            state="blocked",
            summary=f"no key for NVIDIA's registry; unblock: set {secrets.REGISTRY}, or put it into the file "
            f"that {secrets.FILE} names",
        )
    hosts = {tao_images.registry_of(reference) or "this machine" for reference in images.values()}
    asked = f"; asked: {', '.join(sorted(hosts))}" if hosts else ""
    return GateResult(
        gate=gate, state="passed", summary=f"{secrets.REGISTRY} is set, and used for pulls alone{asked}"
    )


def check_token() -> GateResult:
    """Say whether a token for the Hub is set; its value is told nowhere."""
    there = secrets.has_hub_token()
    return GateResult(
        gate="prerequisites-token",
        state="passed",
        summary=f"{secrets.HUB} is set" if there else f"{secrets.HUB} is not set: public models only",
        evidence={"set": there},
    )


def check_images(
    engine: Engine | None, images: Mapping[str, str], folder: Path | None, progress: Callable[[str], None]
) -> GateResult:
    """Fetch and prepare the images that were named.

    Args:
        engine: whose images; None where runs go to the host sandbox.
        images: NVIDIA's image by repository.
        folder: for the engine's output; None looks at nothing.
        progress: told each line of it.
    """
    gate = "prerequisites-images"
    if not images:
        return GateResult(
            gate=gate,
            state="blocked",
            summary="gates run in porter's own environments, not in NVIDIA's images; unblock: "
            "--image-pytorch REF --image-deploy REF",
        )
    if engine is None:
        return GateResult(
            gate=gate,
            state="failed",
            summary="images were named, and the host sandbox runs none",
            fix="--engine docker or podman",
        )
    if folder is None:
        return GateResult(gate=gate, state="blocked", summary="the port fetches them: porter port")
    try:
        made = [
            tao_images.prepare(engine, repo, reference, folder, progress)
            for repo, reference in sorted(images.items())
        ]
    except PorterError as error:
        return GateResult(gate=gate, state="failed", summary=error.what, cause=error.why, fix=error.next_step)
    missing = sorted({"tao-pytorch", "tao-deploy"} - {item.repo for item in made})
    told = [f"{item.tag} of {item.reference} ({item.digest[:19]})" for item in made]
    told += [f"none named for {repo}; unblock: --image-{repo[4:]} REF" for repo in missing]
    return GateResult(
        gate=gate,
        state="blocked" if missing else "passed",
        summary="; ".join(told),
        evidence={item.repo: msgspec.to_builtins(item) for item in made},
    )


def _as_whom(host: HostFacts) -> str:
    return "a user without rights" if host.uid == 0 else "your user in a namespace of its own"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
