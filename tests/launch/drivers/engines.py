"""Sockets of real engines, an image with a Python in it, and a program that stands in for TAO there."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.records.sandbox import Engine
from porter.records.training import Mount
from porter.sandbox import base_image, engines, interpreters
from tests.launch.drivers.waiting import until

TOOL = """\
import json, os, sys, time
from pathlib import Path

spec = Path(sys.argv[sys.argv.index("-e") + 1])
values = dict(line.split(": ", 1) for line in spec.read_text().splitlines() if ": " in line)
out = Path(values["results_dir"], "train")
out.mkdir()
print("read", spec, flush=True)
if sys.argv[1] == "fail":
    print("CUDA out of memory")
    sys.exit(3)
if sys.argv[1] == "wait":
    time.sleep(300)
spec.write_text(spec.read_text() + "num_gpus: 1\\n")
wrote = []
for place in sys.argv[sys.argv.index("--try") + 1 :] if "--try" in sys.argv else ():
    try:
        Path(place, "new").write_text("")
        wrote.append(place)
    except OSError:
        pass
(out / "status.json").write_text(json.dumps({"values": values, "env": dict(os.environ), "wrote": wrote}))
(out / "model.pth").write_bytes(b"\\x80weights\\xff")
"""


@contextlib.contextmanager
def served(engine: Engine, folder: Path, docker_host: str) -> Iterator[str]:
    """Yield the address of an engine: of its daemon, or of a service of Podman that ends with the block."""
    if engine.name == "docker":
        yield docker_host
        return
    socket = folder / "podman.sock"
    service = subprocess.Popen(
        [engine.executable, "system", "service", "--time=0", f"unix://{socket}"],
        # Its networks need iptables, which lies where a user's shell may not look.
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(socket.exists)
        yield f"unix://{socket}"
    finally:
        service.terminate()
        service.wait()


@contextlib.contextmanager
def offered(
    engine: Engine, request: pytest.FixtureRequest, folder: Path, patch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Yield the address of an engine, and have the environment name it."""
    docker_host = request.getfixturevalue("docker_host") if engine.name == "docker" else ""
    with served(engine, folder, docker_host) as address:
        if address:
            patch.setenv("DOCKER_HOST", address)
        if engine.name == "docker":
            # The tests' own daemon has no bridge.
            patch.setenv("DOCKER_NETWORK", "host")
        yield address


def image(engine: Engine) -> str:
    """Return an image with this machine's Python."""
    return base_image.with_python(engine, interpreters.this())


def remove(engine: Engine, jobs: list[str]) -> None:
    """Remove the containers of jobs."""
    for job in jobs:
        engines.call(engine, ["rm", "-f", f"tao-job-{job}"])


def tool(folder: Path) -> Mount:
    """Return a mount of the program that stands in for TAO."""
    folder.mkdir(exist_ok=True)
    (folder / "tao.py").write_text(TOOL)
    return Mount(source=str(folder), target="/tool")
