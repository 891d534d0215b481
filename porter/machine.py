"""What phase 0 asks of a machine with a GPU: driver, CUDA, container toolkit, and containers that see it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from porter import secrets
from porter.records.gates import GateResult
from porter.records.sandbox import Engine
from porter.sandbox import engines

MINIMUM_DRIVER = (580, 0)
MINIMUM_CUDA = (13, 0)
MINIMUM_TOOLKIT = (1, 19)

_SECONDS = 20
_SMOKE_SECONDS = 120
_TRAIN = "run the generated train script on a machine with a GPU"


def ask(argv: Sequence[str], seconds: float = _SECONDS) -> str | None:
    """Return what a program prints; None where it is not there, fails or hangs."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds, check=False, env=secrets.without()
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def version_in(text: str) -> tuple[int, int] | None:
    """Return the first version in a text, to its minor part."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def dotted(version: tuple[int, int]) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, version))


def check_gpu() -> GateResult:
    """Check the GPUs, their driver, and the CUDA that the driver brings."""
    gate = "prerequisites-gpu"
    said = ask(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    gpus = [line.strip() for line in (said or "").splitlines() if line.strip()]
    if not gpus:
        return GateResult(
            gate=gate,
            state="blocked",
            summary="training on a GPU is not proven here: no NVIDIA GPU, or no driver (nvidia-smi); "
            f"unblock: {_TRAIN}",
            evidence={"gpus": []},
        )
    driver = version_in(gpus[0].rpartition(",")[2])
    found = re.search(r"CUDA Version:\s*(\d+\.\d+)", ask(["nvidia-smi"]) or "")
    cuda = version_in(found[1]) if found else None
    evidence = {
        "gpus": gpus,
        "driver": dotted(driver) if driver else "",
        "cuda": dotted(cuda) if cuda else "",
    }
    problems = []
    if driver is None or driver < MINIMUM_DRIVER:
        problems.append(
            f"the driver is {evidence['driver'] or 'unknown'}; TAO's images ask for {MINIMUM_DRIVER[0]}"
        )
    if cuda is None or cuda < MINIMUM_CUDA:
        problems.append(f"its CUDA is {evidence['cuda'] or 'unknown'}; they ask for {dotted(MINIMUM_CUDA)}")
    if problems:
        return GateResult(
            gate=gate,
            state="blocked",
            summary=f"{gpus[0]}: {'; '.join(problems)}",
            evidence=evidence,
            fix=f"install NVIDIA's driver {MINIMUM_DRIVER[0]} or newer",
        )
    return GateResult(
        gate=gate,
        state="passed",
        summary=f"{'; '.join(gpus)}; CUDA {evidence['cuda']}",
        evidence=evidence,
    )


def check_toolkit(engine: Engine | None, gpu: GateResult) -> GateResult:
    """Check NVIDIA's container toolkit, and that a container really sees the GPU.

    Args:
        engine: whose containers; None where runs go to the host sandbox.
        gpu: what :func:`check_gpu` found.
    """
    gate = "prerequisites-toolkit"

    def blocked(why: str, fix: str, **evidence: str) -> GateResult:
        return GateResult(
            gate=gate, state="blocked", summary=f"{why}; unblock: {fix}", evidence=evidence, fix=fix
        )

    if gpu.state != "passed":
        return blocked("no GPU to show to a container", "a machine with a GPU and its driver")
    if engine is None:
        return blocked("runs go to the host sandbox", "--engine docker or podman")
    said = ask(["nvidia-ctk", "--version"]) or ask(["nvidia-container-cli", "--version"]) or ""
    version = version_in(said)
    if version is None or version < MINIMUM_TOOLKIT:
        have = (
            f"the NVIDIA Container Toolkit is {dotted(version)}" if version else "no NVIDIA Container Toolkit"
        )
        return blocked(have, f"install version {dotted(MINIMUM_TOOLKIT)} or newer", version=said)
    shown = smoke(engine)
    if not shown.startswith("GPU "):
        return blocked(
            f"a container of {engine.name} sees no GPU: {shown}", _way_in(engine), version=dotted(version)
        )
    return GateResult(
        gate=gate,
        state="passed",
        summary=f"NVIDIA Container Toolkit {dotted(version)}; inside: {shown.splitlines()[0]}",
        evidence={"version": dotted(version), "inside": shown},
    )


def smoke(engine: Engine) -> str:
    """Return what ``nvidia-smi -L`` says in a container, or why it says nothing.

    Podman before 5 takes Docker's option without a word and shows no GPU, so the answer counts, not the
    exit code.
    """
    from porter.sandbox import base_image, interpreters

    flag = "--gpus=all" if engine.name == "docker" else "--device=nvidia.com/gpu=all"
    image = base_image.ensure(engine, interpreters.this())
    argv = ["run", "--rm", "--pull=never", "--network=none", flag, image, "nvidia-smi", "-L"]
    done = engines.call(engine, argv, seconds=_SMOKE_SECONDS)
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else engines.said(done)


def _way_in(engine: Engine) -> str:
    if engine.name == "docker":
        return "nvidia-ctk runtime configure --runtime=docker, then restart docker"
    return "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
