"""Every test runs in a home of its own and reaches no machine but this one."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from porter.matrix.schedule import shares
from porter.records.sandbox import Environment
from porter.sandbox import environments
from porter.sandbox.host import HostSandbox
from tests.engines import docker, docker_host, engine, podman
from tests.repositories import GIT_IDENTITY

__all__ = ["docker", "docker_host", "engine", "podman"]

REAL_CACHE = Path(os.environ.get("PORTER_CACHE") or Path.home() / ".cache" / "porter")
"""The cache of the person who runs the tests; only fixtures that say so look into it."""

PIP_SETTINGS = Path.home() / ".config" / "pip" / "pip.conf"
"""How the person who runs the tests reaches the package index."""

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "NGC_KEY", "NGC_API_KEY")
_NOBODY_LISTENS = "http://127.0.0.1:9"


# Tests of containers name their engine; the others, and what fixtures of the session run, do not depend on
# which one answers here.
os.environ["PORTER_ENGINE"] = "host"

_LONGEST = "e2e/test_kill.py"
_SHARED_FIXTURES = (
    "e2e/test_catalog.py",
    "e2e/test_port.py",
    "e2e/test_real.py",
    "embedded",
    "probes",
    "transplant",
)


def pytest_configure() -> None:
    """Give each worker processors of its own: torch starts a thread on every one that it sees.

    A suite that a shell runs in the background ignores interrupts, and its children would do so too.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        own = shares(sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
        os.sched_setaffinity(0, own[int(worker.removeprefix("gw"))])


def _rank(order: dict[str, int], path: Path) -> int:
    return order.get(str(path), order.get(path.parts[0], len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share fixtures which take minutes: one worker makes them once.

    The longest come first, so that the workers end at about the same time.
    """
    here = Path(__file__).parent
    order = {_LONGEST: 0, "e2e": 1}
    items.sort(key=lambda item: _rank(order, item.path.relative_to(here)))
    for item in items:
        path = item.path.relative_to(here)
        shared = {str(path), path.parts[0]} & set(_SHARED_FIXTURES)
        item.add_marker(pytest.mark.xdist_group(path.parts[0] if shared else str(path)))


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test its own home, cache and git identity, and take tokens away."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("GIT_", "HF_", "XDG_", "PORTER_"))]:
        monkeypatch.delenv(name)
    for name in _TOKENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PORTER_CACHE", str(home / ".cache" / "porter"))
    monkeypatch.setenv("HF_HOME", str(home / ".cache" / "huggingface"))
    monkeypatch.setenv("HF_ENDPOINT", _NOBODY_LISTENS)
    monkeypatch.setenv("PORTER_TAO_MIRROR", _NOBODY_LISTENS)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("PORTER_ENGINE", "host")
    for name, value in GIT_IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections of this process to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def tao_environment() -> Environment:
    """The managed tao-pytorch environment of the person who runs the tests; skips where there is none."""
    return _built("tao-pytorch-7.0.1")


@pytest.fixture(scope="session")
def deploy_environment() -> Environment:
    """The managed tao-deploy environment of the person who runs the tests; skips where there is none."""
    return _built("tao-deploy-7.0.1")


def _built(set_name: str) -> Environment:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(REAL_CACHE))
        found = environments.find(set_name)
    if found is None:
        pytest.skip(f"the environment {set_name} is not built; any port builds it")
    return found


@pytest.fixture
def tao_sandbox(tao_environment: Environment, tmp_path: Path) -> HostSandbox:
    """A host sandbox with the managed tao-pytorch environment."""
    return HostSandbox(tao_environment, tmp_path / "runs")
