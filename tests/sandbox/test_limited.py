"""The host sandbox on a machine without bubblewrap: what still holds, and what is said about the rest."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from porter.records.sandbox import Environment, Mount, RunSpec
from porter.sandbox import facts
from porter.sandbox.host import HostSandbox, notice, remedy
from tests.sandbox.conftest import RunPython
from tests.sandbox.test_isolation import CONNECT

pytestmark = pytest.mark.usefixtures("no_bubblewrap")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_it_says_loudly_what_is_not_protected_and_how_to_change_that(sandbox: HostSandbox) -> None:
    assert sandbox.isolation == "limited"
    text = sandbox.notice
    assert text.startswith("NOT ISOLATED")
    assert "files that your user can read" in text
    assert "apt-get install bubblewrap" in text
    offline = any(option == "--net" for option in facts.machine().unshare)
    assert ("NOT protected: the network" in text) is not offline


def test_what_unshare_gives_is_not_called_unprotected() -> None:
    bare = msgspec.structs.replace(facts.machine(), unshare=())
    assert "NOT protected: the network" in notice(bare)
    assert "outlive its run" in notice(bare)
    assert "the network" not in notice(msgspec.structs.replace(bare, unshare=("--net", "--pid")))


def test_the_remedy_fits_the_problem() -> None:
    tools = {**facts.machine().tools, "bwrap": "/usr/bin/bwrap"}
    refused = msgspec.structs.replace(
        facts.machine(), tools=tools, problem="bwrap: setting up uid map: Permission denied"
    )
    assert "kernel.apparmor_restrict_unprivileged_userns" in remedy(refused)
    assert "apt-get" not in remedy(refused)


def test_variables_of_the_caller_are_gone_and_home_is_empty(
    run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    result = run_python(
        "import os, pathlib, tempfile\n"
        "print('HF_TOKEN' in os.environ, list(pathlib.Path.home().iterdir()))\n"
        "(pathlib.Path.home() / 'cache').write_text('x')\n"
        "print(tempfile.gettempdir() == os.environ['HOME'])\n"
        "fields = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(*(int(fields[name], 16) for name in ('CapEff', 'CapBnd')), fields['NoNewPrivs'].strip())\n"
    )
    bounding = 0 if os.getuid() == 0 else _own_bounding_set()
    assert Path(result.log).read_text() == f"False []\nTrue\n0 {bounding} 1\n"
    assert list(Path(result.log).parent.joinpath("scratch").iterdir()) == []


def _own_bounding_set() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapBnd:")[1].split()[0], 16)


def test_the_network_is_cut_off_where_unshare_can_do_that(run_python: RunPython) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run_python(CONNECT.format(port=server.getsockname()[1]))
    assert (result.exit_code == 0) is ("--net" not in facts.machine().unshare)


def test_root_gives_up_its_user_where_others_can_reach_what_is_needed(open_folder: Path) -> None:
    environment = Environment(name="system", prefix="/usr", python="/usr/bin/id", digest="")
    out = open_folder / "out"
    out.mkdir()
    sandbox = HostSandbox(environment, open_folder / "runs")
    spec = RunSpec(
        name="id",
        argv=("/bin/sh", "-c", "id -u; id -u > answer"),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True),),
    )
    result = sandbox.run(spec)
    expected = "65534" if os.getuid() == 0 else str(os.getuid())
    assert Path(result.log).read_text() == f"{expected}\n"
    assert (out / "answer").stat().st_uid == os.getuid()
    out.parent.chmod(0o700)
    again = sandbox.run(spec)
    assert Path(again.log).read_text() == f"{os.getuid()}\n"
