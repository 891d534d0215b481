"""The container engines of the tests: Podman where it is installed, and a Docker daemon of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.records.sandbox import Engine
from porter.sandbox import engines, facts

ROOT = Path(__file__).resolve().parents[1]


def covered() -> str:
    """Say which engines the tests use here, a line each."""
    lines = []
    for name in engines.ENGINES:
        found = engines.find(name)
        if isinstance(found, Engine):
            lines.append(f"{name:<7} {found.version}")
        elif name == "docker" and os.getuid() == 0 and shutil.which("apt-get"):
            lines.append(f"{name:<7} a daemon that the tests start, where its packages can be had ({found})")
        else:
            lines.append(f"{name:<7} not covered: {found}")
    host = facts.machine()
    lines.append(f"host    {'bubblewrap' if host.bwrap else f'without bubblewrap: {host.problem}'}")
    return "\n".join(lines)


@pytest.fixture(scope="session")
def docker_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Docker daemon: the one that answers, else one that ends with the tests."""
    if os.environ.get("DOCKER_HOST") or isinstance(engines.find("docker"), Engine):
        yield os.environ.get("DOCKER_HOST", "")
        return
    if not (ROOT / "containers" / "dockerd.sh").exists() or os.getuid() != 0:
        pytest.skip("no Docker daemon answers, and only root could start one")
    script = str(ROOT / "containers" / "dockerd.sh")
    # Not below the tests' temporary folder: what the daemon mounts there would outlive a failed removal.
    from tests.conftest import REAL_CACHE

    folder = REAL_CACHE / "test-docker" / str(os.getpid())
    packages = REAL_CACHE / "test-docker" / "packages"
    folder.mkdir(parents=True)
    packages.mkdir(exist_ok=True)
    (folder / "packages").symlink_to(packages)
    try:
        started = subprocess.run(
            ["bash", script, "start", str(folder)], capture_output=True, text=True, check=False
        )
        if started.returncode:
            pytest.skip(f"dockerd does not start here: {started.stderr.strip().splitlines()[-1:]}")
        yield started.stdout.strip().splitlines()[-1]
    finally:
        subprocess.run(["bash", script, "stop", str(folder)], capture_output=True, check=False)
        (folder / "packages").unlink()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def podman() -> Engine:
    """Podman; skips where it is not installed or does not answer."""
    engines.find.cache_clear()
    found = engines.find("podman")
    if not isinstance(found, Engine):
        pytest.skip(found)
    return found


@pytest.fixture
def docker(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Docker with a daemon; skips where none can be had."""
    if docker_host:
        monkeypatch.setenv("DOCKER_HOST", docker_host)
    engines.find.cache_clear()
    found = engines.find("docker")
    if not isinstance(found, Engine):
        pytest.skip(found)
    yield found
    engines.find.cache_clear()


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every container engine that this machine can run."""
    found: Engine = request.getfixturevalue(request.param)
    return found


if __name__ == "__main__":
    print(covered())
