"""Hostile programs in every engine: nothing gets out, every end has its reason, and the next run works."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter.records.sandbox import Environment, Limits, Mount, RunResult, RunSpec
from porter.sandbox import facts
from porter.sandbox.base import Sandbox, tail
from porter.sandbox.host import HostSandbox
from tests.corpus.programs import PROGRAMS, Program
from tests.sandbox.conftest import container_sandbox


@pytest.fixture(params=["host", "podman", "docker"])
def sandbox(request: pytest.FixtureRequest, world: Path) -> Iterator[Sandbox]:
    """The sandbox that opens a model's files, of every engine."""
    here = Environment(
        name="test", prefix=sys.prefix, python=sys.executable, digest="", read_only=(sys.base_prefix,)
    )
    work = world / "work" / "port"
    work.mkdir()
    if request.param == "host":
        if not facts.machine().bwrap:
            pytest.skip(f"bubblewrap is not used here: {facts.machine().problem}")
        yield HostSandbox(here, work / "runs")
        return
    with container_sandbox(request.getfixturevalue(request.param), here, work) as made:
        yield made


def run(sandbox: Sandbox, out: Path, source: str, **limits: int) -> RunResult:
    spec = RunSpec(
        name="hostile",
        argv=(sandbox.environment.python, "-c", source),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True), Mount(path=str(out.parent / "model"))),
        limits=Limits(**{"seconds": 60, **limits}),
    )
    return sandbox.run(spec)


@pytest.mark.parametrize("case", PROGRAMS, ids=lambda case: case.name.replace(" ", "-"))
def test_nothing_gets_out(case: Program, sandbox: Sandbox, world: Path) -> None:
    out, model = world / "work" / "out", world / "work" / "model"
    for folder in (out, model):
        folder.mkdir()
    (model / "config.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = case.source.replace("@OUTSIDE@", str(world / "outside")).replace(
            "@HOME@", str(world / "home")
        )
        source = source.replace("@PORT@", str(server.getsockname()[1]))
        result = run(sandbox, out, source, **dict(case.limits))
    if case.ended:
        assert result.ended == case.ended, tail(Path(result.log))
    else:
        assert (result.exit_code, result.ended) != (0, "exited")
    assert case.reason in result.reason
    if case.says is not None:
        assert tail(Path(result.log), 1) == case.says
    assert Path(result.log).stat().st_size < 70 * 2**20
    assert sum(path.lstat().st_size for path in out.iterdir()) < 2**30
    assert [path.name for path in model.iterdir()] == ["config.json"]
    assert not (Path(os.devnull).parent / "porter-canary-ran").exists()
    with contextlib.suppress(FileNotFoundError):
        (out / "porter-canary-ran").unlink()
    after = run(sandbox, out, "print('usable')")
    assert (after.exit_code, tail(Path(after.log))) == (0, "usable")
