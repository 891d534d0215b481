"""Environments and sandboxes for the tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from porter.records.sandbox import Environment, Limits, Mount, RunResult, RunSpec
from porter.sandbox import environments, facts
from porter.sandbox.host import HostSandbox
from tests.conftest import REAL_CACHE

RunPython = Callable[..., RunResult]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("bwrap") and not facts.machine().bwrap:
        pytest.skip(f"bubblewrap is not used here: {facts.machine().problem}")


@pytest.fixture
def environment() -> Environment:
    """The environment that the tests themselves run in: a Python without torch."""
    return Environment(
        name="test", prefix=sys.prefix, python=sys.executable, digest="", read_only=(sys.base_prefix,)
    )


@pytest.fixture
def sandbox(environment: Environment, tmp_path: Path) -> HostSandbox:
    return HostSandbox(environment, tmp_path / "runs")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def run_python(sandbox: HostSandbox, out: Path) -> RunPython:
    """Run Python source in the sandbox, with ``out`` writable and as its working folder."""

    def run(
        source: str,
        *,
        limits: Limits | None = None,
        mounts: tuple[Mount, ...] = (),
        variables: dict[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> RunResult:
        spec = RunSpec(
            name="code",
            argv=(sandbox.environment.python, "-c", source),
            cwd=str(out),
            mounts=(Mount(path=str(out), writable=True), *mounts),
            variables=variables or {},
            limits=limits or Limits(),
        )
        return sandbox.run(spec, on_line)

    return run


@pytest.fixture
def no_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which bubblewrap is not installed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, path in facts.machine().tools.items():
        if name != "bwrap":
            (tools / name).symlink_to(path)
    monkeypatch.setattr(facts, "SYSTEM_PATH", str(tools))
    facts.machine.cache_clear()
    yield
    facts.machine.cache_clear()


@pytest.fixture
def torch_environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The managed environment of the person who runs the tests."""
    monkeypatch.setenv("PORTER_CACHE", str(REAL_CACHE))
    found = environments.find("tao-pytorch-7.0.1")
    if found is None:
        pytest.skip("the environment tao-pytorch-7.0.1 is not built; any port builds it")
    return found
