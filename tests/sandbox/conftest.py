"""Environments and sandboxes for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from porter.records.sandbox import Engine, Environment, Limits, Mount, Profile, RunResult, RunSpec
from porter.sandbox import base_image, environments, facts, interpreters
from porter.sandbox.base import Sandbox
from porter.sandbox.container import WORKSPACE_LABEL, ContainerSandbox, Place
from porter.sandbox.host import HostSandbox
from tests.conftest import REAL_CACHE

RunPython = Callable[..., RunResult]
MINOR = "{}.{}".format(*sys.version_info)


_EVERYWHERE = ("test_isolation", "test_probe")
"""Modules whose tests hold for every engine."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.endswith(_EVERYWHERE) and "sandbox" in metafunc.fixturenames:
        metafunc.parametrize("sandbox", ["host", "podman", "docker"], indirect=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    called = getattr(item, "callspec", None)
    if called is not None and called.params.get("sandbox", "host") != "host":
        return
    if item.get_closest_marker("bwrap") and not facts.machine().bwrap:
        pytest.skip(f"bubblewrap is not used here: {facts.machine().problem}")


@pytest.fixture
def environment() -> Environment:
    """The environment that the tests themselves run in: a Python without torch."""
    return Environment(
        name="test", prefix=sys.prefix, python=sys.executable, digest="", read_only=(sys.base_prefix,)
    )


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, environment: Environment, tmp_path: Path) -> Iterator[Sandbox]:
    """The host sandbox, or the container sandbox of the engine that the test is parametrized with."""
    name = getattr(request, "param", "host")
    if name == "host":
        yield HostSandbox(environment, tmp_path / "runs")
        return
    with container_sandbox(request.getfixturevalue(name), environment, tmp_path) as made:
        yield made


@contextlib.contextmanager
def container_sandbox(
    engine: Engine, environment: Environment, root: Path, profile: Profile = "inspect", workspace: str = ""
) -> Iterator[ContainerSandbox]:
    """Make a container sandbox on the base image whose containers end with it."""
    label = workspace or f"test-{uuid.uuid4().hex[:12]}"
    place = Place(
        engine=engine,
        profile=profile,
        name=f"porter-{label}",
        labels={WORKSPACE_LABEL: label},
        desk=root / "desk",
    )
    image = base_image.ensure(engine, interpreters.this())
    made = ContainerSandbox(msgspec.structs.replace(environment, image=image), root / "runs", place)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def run_python(sandbox: Sandbox, out: Path) -> RunPython:
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


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, and pip configured by the user to look only there."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        metadata = f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as file:
            file.writestr("tiny.py", f"VERSION = {version!r}\n")
            file.writestr(f"tiny-{version}.dist-info/METADATA", metadata)
            file.writestr(f"tiny-{version}.dist-info/WHEEL", wheel)
            file.writestr(f"tiny-{version}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


@pytest.fixture
def sets(tmp_path: Path, wheels: Path) -> Path:
    """A folder with the requirement set ``small``."""
    root = tmp_path / "sets"
    small = root / "small"
    (small / "stand-ins").mkdir(parents=True)
    (small / "stand-ins" / "absent.py").write_text("REAL = False\n")
    (small / "set.toml").write_text(
        f'title = "A small set"\npythons = ["{MINOR}"]\ngigabytes = 0.05\nminutes = 1\n'
        'python_path = ["stand-ins"]\n'
    )
    (small / "requirements.txt").write_text("# the only one\ntiny==1.0\n")
    return root
