"""Finds an interpreter that can run real TensorRT engines on this machine."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from porter.errors import SandboxError
from porter.records.base import Record, digest
from porter.records.sandbox import Environment

VARIABLE = "PORTER_TENSORRT_PYTHON"
"""Names the interpreter, where it is not the ``python3`` on the PATH."""

_SECONDS = 60
_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia[0-9]*")

# tensorrt and pycuda must be the real ones: a stand-in says so of itself and is turned away.
_QUESTION = """
import json, sys
import pycuda.driver as cuda
import tensorrt
if hasattr(tensorrt, "read_rehearsal"):
    raise SystemExit("its tensorrt is a stand-in")
cuda.init()
if not cuda.Device.count():
    raise SystemExit("it sees no CUDA device")
roots = {entry for entry in sys.path if entry} | {sys.prefix, sys.base_prefix}
print(json.dumps({
    "prefix": sys.prefix,
    "tensorrt": tensorrt.__version__,
    "gpu": cuda.Device(0).name(),
    "roots": sorted(roots),
}))
"""


class Found(Record, frozen=True, kw_only=True):
    """What an interpreter says of itself: its folders, the TensorRT that it imports, the first GPU."""

    prefix: str
    tensorrt: str
    gpu: str
    roots: tuple[str, ...]


@functools.cache
def find() -> Environment | None:
    """Return the environment with which engines are built and run for real; None where there is none.

    Raises:
        SandboxError: the interpreter that ``PORTER_TENSORRT_PYTHON`` names cannot.
    """
    given = os.environ.get(VARIABLE, "")
    devices = gpu_devices(Path("/dev"))
    python = given or shutil.which("python3") or ""
    if not python or not (given or devices):
        return None
    found = ask(python)
    if isinstance(found, Found):
        return Environment(
            name=f"TensorRT {found.tensorrt} on {found.gpu}",
            prefix=found.prefix,
            python=python,
            digest=digest(found),
            read_only=tuple(root for root in found.roots if Path(root).exists()),
            versions={"tensorrt": found.tensorrt},
            devices=devices,
        )
    if given:
        raise SandboxError(
            f"{VARIABLE} names {given}, which cannot run TensorRT engines.",
            why=found,
            next_step=f"install tensorrt and pycuda there, name another interpreter, or unset {VARIABLE} to "
            "rehearse without a GPU",
        )
    return None


def ask(python: str) -> Found | str:
    """Return what the interpreter says of itself, or why it is of no use."""
    try:
        done = subprocess.run(
            [python, "-c", _QUESTION],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            # A run in the sandbox sees no packages in a user's home either.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    try:
        return msgspec.convert(json.loads(done.stdout), Found, strict=False)
    except (ValueError, msgspec.MsgspecError) as error:
        return f"it answered something else: {error}"


def gpu_devices(folder: Path) -> tuple[str, ...]:
    """Return the device nodes of NVIDIA's driver."""
    if not any(folder.glob("nvidia[0-9]*")):
        return ()
    return tuple(sorted({str(node) for pattern in _DEVICES for node in folder.glob(pattern)}))
