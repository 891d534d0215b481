"""Phase 0: what this machine has, without the network and without changing anything."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from porter import cache
from porter.errors import SandboxError
from porter.records.gates import GateResult
from porter.records.sandbox import HostFacts
from porter.sandbox import environments, facts, requirements
from porter.sandbox.host import notice, remedy

MINIMUM_PYTHON = (3, 10)
MINIMUM_GIT = (2, 34)
WORKING_GIGABYTES = 5.0
"""Room that a port asks for beside the environment: checkpoints, training output, graphs."""

_SECONDS = 20


def checks(environment: str = "tao-pytorch-7.0.1") -> tuple[GateResult, ...]:
    """Return one result for every prerequisite, in the order in which they are listed.

    Args:
        environment: requirement set of the release that is ported to.
    """
    return (
        check_python(),
        check_git(),
        check_isolation(),
        check_environment(environment),
        check_disk(environment),
        check_gpu(),
        check_containers(),
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
        fix="" if good else f"install Python {_dotted(MINIMUM_PYTHON)} or newer",
    )


def check_git() -> GateResult:
    """Check that git is there and new enough."""
    said = _ask(["git", "--version"])
    found = re.search(r"(\d+)\.(\d+)", said or "")
    if said is None or found is None:
        return GateResult(
            gate="prerequisites-git",
            state="failed",
            summary="git is not installed, or not on PATH",
            fix=f"install git {_dotted(MINIMUM_GIT)} or newer",
        )
    good = (int(found[1]), int(found[2])) >= MINIMUM_GIT
    return GateResult(
        gate="prerequisites-git",
        state="passed" if good else "failed",
        summary=said if good else f"{said} is older than {_dotted(MINIMUM_GIT)}",
        evidence={"version": said},
        fix="" if good else f"install git {_dotted(MINIMUM_GIT)} or newer",
    )


def check_isolation() -> GateResult:
    """Check that the host sandbox separates what runs in it, by a run in it."""
    gate = "prerequisites-isolation"
    try:
        host = facts.machine()
    except SandboxError as error:
        return GateResult(gate=gate, state="failed", summary=error.what, cause=error.why, fix=error.next_step)
    if host.bwrap:
        version = _ask([host.tools["bwrap"], "--version"]) or "bubblewrap"
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


def check_gpu() -> GateResult:
    """Look for a GPU; no gate of this version trains on one, so this is never passed."""
    said = _ask(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    gpus = said.splitlines() if said else []
    reason = (
        f"found {'; '.join(gpus)}, but the gates of this version run on the CPU"
        if gpus
        else "no NVIDIA GPU, or no driver (nvidia-smi)"
    )
    return GateResult(
        gate="prerequisites-gpu",
        state="blocked",
        summary=f"training on a GPU is not proven here: {reason}; unblock: run the generated train script on "
        "a machine with a GPU",
        evidence={"gpus": gpus},
    )


def check_containers() -> GateResult:
    """Look for a container engine; this version does not use one, so this is never passed."""
    engines = [name for name in ("docker", "podman") if shutil.which(name)]
    found = f"{' and '.join(engines)} found" if engines else "neither docker nor podman found"
    return GateResult(
        gate="prerequisites-containers",
        state="blocked",
        summary=f"{found}; this version runs its gates in the host sandbox, not in TAO's images",
        evidence={"engines": engines},
    )


def _as_whom(host: HostFacts) -> str:
    return "a user without rights" if host.uid == 0 else "your user in a namespace of its own"


def _ask(argv: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
