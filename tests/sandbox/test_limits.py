"""How runs end: by themselves, by a limit, and what is left of them. Real processes throughout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from porter.errors import SandboxError
from porter.records.sandbox import Limits, Mount, RunSpec
from porter.sandbox import facts, process
from porter.sandbox.host import HostSandbox
from tests.sandbox.conftest import RunPython

GRANDCHILD = """
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            pathlib.Path("beat").write_text(str(time.time()))
            time.sleep(0.02)
    time.sleep(600)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_still(file: Path) -> bool:
    """Whether a file that is written many times a second is not written any more."""
    before = file.read_text()
    time.sleep(0.3)
    return file.read_text() == before


@pytest.mark.bwrap
def test_a_timeout_ends_grandchildren_too(run_python: RunPython, out: Path) -> None:
    result = run_python(GRANDCHILD, limits=Limits(seconds=1))
    assert (result.ended, result.exit_code) == ("timeout", -signal.SIGKILL)
    assert "longer than 1 s" in result.reason
    assert "longer than 1 s" in Path(result.log).read_text()
    assert is_still(out / "beat")


@pytest.mark.usefixtures("no_bubblewrap")
def test_a_timeout_ends_grandchildren_without_bubblewrap(run_python: RunPython, out: Path) -> None:
    result = run_python(GRANDCHILD, limits=Limits(seconds=1))
    assert result.ended == "timeout"
    assert is_still(out / "beat")


def test_a_timeout_ends_grandchildren_without_any_namespace(
    run_python: RunPython, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "few tools"
    tools.mkdir()
    (tools / "env").symlink_to(facts.machine().tools["env"])
    monkeypatch.setattr(facts, "SYSTEM_PATH", str(tools))
    facts.machine.cache_clear()
    try:
        result = run_python(GRANDCHILD, limits=Limits(seconds=1))
    finally:
        facts.machine.cache_clear()
    assert result.ended == "timeout"
    assert is_still(out / "beat")


@pytest.mark.bwrap
def test_a_program_that_leaves_children_behind_is_over_when_it_ends(run_python: RunPython, out: Path) -> None:
    result = run_python(
        "import os, pathlib, sys, time\n"
        "if os.fork():\n"
        "    while not pathlib.Path('beat').exists(): time.sleep(0.01)\n"
        "    os._exit(5)\n" + GRANDCHILD
    )
    assert (result.ended, result.exit_code) == ("exited", 5)
    assert is_still(out / "beat")


@pytest.mark.bwrap
def test_an_interrupt_ends_the_run(run_python: RunPython, out: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    source = "print('started')\n" + GRANDCHILD.replace("time.sleep(600)", "time.sleep(5)")
    with pytest.raises(KeyboardInterrupt):
        run_python(source, on_line=interrupt)
    time.sleep(0.1)
    assert not (out / "beat").exists() or is_still(out / "beat")


KILLED = """
import sys
from pathlib import Path
from porter.records.sandbox import Environment, Mount, RunSpec
from porter.sandbox import facts
from porter.sandbox.host import HostSandbox
out, runs, facts.SYSTEM_PATH = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
environment = Environment(
    name="test", prefix=sys.prefix, python=sys.executable, digest="", read_only=(sys.base_prefix,)
)
spec = RunSpec(
    name="code", argv=(sys.executable, "-c", sys.argv[4]), cwd=str(out),
    mounts=(Mount(path=str(out), writable=True),),
)
HostSandbox(environment, runs).run(spec)
"""


def kill_porter_during_a_run(out: Path, runs: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out), str(runs), facts.SYSTEM_PATH, GRANDCHILD],
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as porter:
        wait_for((out / "beat").exists)
        porter.kill()
    time.sleep(0.3)


@pytest.mark.bwrap
def test_nothing_outlives_a_porter_that_is_killed(out: Path, tmp_path: Path) -> None:
    kill_porter_during_a_run(out, tmp_path / "runs")
    assert is_still(out / "beat")


@pytest.mark.usefixtures("no_bubblewrap")
def test_nothing_outlives_a_porter_that_is_killed_without_bubblewrap(out: Path, tmp_path: Path) -> None:
    if "--pid" not in facts.machine().unshare:
        pytest.skip("this machine has no process namespaces, and the notice says so")
    kill_porter_during_a_run(out, tmp_path / "runs")
    assert is_still(out / "beat")


@pytest.mark.bwrap
@pytest.mark.parametrize("code", [0, 7, 200])
def test_exit_codes_are_the_programs_own(run_python: RunPython, code: int) -> None:
    result = run_python(f"import sys; sys.exit({code})")
    assert (result.ended, result.exit_code, result.reason) == ("exited", code, "")


@pytest.mark.bwrap
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_signals_are_negative_exit_codes(run_python: RunPython, number: signal.Signals) -> None:
    result = run_python(f"import os; os.kill(os.getpid(), {int(number)})")
    assert (result.ended, result.exit_code) == ("exited", -number)


@pytest.mark.usefixtures("no_bubblewrap")
@pytest.mark.parametrize(("source", "code"), [("exit(7)", 7), ("import os; os.abort()", -signal.SIGABRT)])
def test_ends_are_told_alike_without_bubblewrap(run_python: RunPython, source: str, code: int) -> None:
    assert run_python(source).exit_code == code


@pytest.mark.bwrap
def test_one_process_cannot_have_more_memory_than_the_limit(run_python: RunPython) -> None:
    source = (
        "try:\n"
        "    data = bytearray(600 * 2**20)\n"
        "    print('got')\n"
        "except MemoryError:\n"
        "    print('refused')\n"
    )
    refused = run_python(source, limits=Limits(memory_bytes=300 * 2**20))
    assert Path(refused.log).read_text() == "refused\n"
    allowed = run_python(source, limits=Limits(memory_bytes=2**30))
    assert Path(allowed.log).read_text() == "got\n"


@pytest.mark.bwrap
@pytest.mark.parametrize(
    "source",
    [
        "import os\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        break\n"
        "data = b'x' * (100 * 2**20)\n"
        "import time; time.sleep(60)",
        "import mmap, time\n"
        "data = mmap.mmap(-1, 500 * 2**20)\n"
        "for _ in range(500): data.write(b'x' * 2**20)\n"
        "time.sleep(60)",
    ],
    ids=["many processes", "shared memory"],
)
def test_all_processes_together_cannot_have_more_memory_than_the_limit(
    run_python: RunPython, source: str
) -> None:
    result = run_python(source, limits=Limits(seconds=30, memory_bytes=450 * 2**20))
    assert result.ended == "killed"
    assert result.exit_code == -signal.SIGKILL
    assert "memory" in result.reason


@pytest.mark.bwrap
def test_memory_that_forked_processes_share_counts_once(run_python: RunPython) -> None:
    result = run_python(
        "import os, time\n"
        "data = b'x' * (200 * 2**20)\n"
        "pids = []\n"
        "for _ in range(5):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        time.sleep(1.5); os._exit(0)\n"
        "    pids.append(pid)\n"
        "for pid in pids: os.waitpid(pid, 0)\n",
        limits=Limits(memory_bytes=450 * 2**20),
    )
    assert (result.ended, result.exit_code) == ("exited", 0)


@pytest.mark.bwrap
def test_no_file_grows_beyond_the_limit(run_python: RunPython, out: Path) -> None:
    result = run_python(
        "with open('big', 'wb') as file:\n    for _ in range(64): file.write(b'x' * 2**20)",
        limits=Limits(file_bytes=8 * 2**20),
    )
    assert result.exit_code == 1
    assert "File too large" in Path(result.log).read_text()
    assert (out / "big").stat().st_size <= 8 * 2**20


@pytest.mark.bwrap
def test_a_fork_bomb_is_bounded(run_python: RunPython) -> None:
    result = run_python(
        "import os, time\n"
        "count = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(60); os._exit(0)\n"
        "        count += 1\n"
        "except BlockingIOError:\n"
        "    print(count)\n",
        limits=Limits(processes=40, seconds=30),
    )
    assert result.ended == "exited"
    assert 10 < int(Path(result.log).read_text()) <= 40


@pytest.mark.bwrap
def test_lines_come_as_they_are_printed_without_what_a_terminal_would_act_on(run_python: RunPython) -> None:
    lines: list[str] = []
    result = run_python(
        "import sys\n"
        "print('plain')\n"
        "sys.stdout.write('10%\\r20%\\r')\n"
        "print('\\x1b[2J\\x1b]0;title\\x07red\\x1b[0m\\x08!', file=sys.stderr)\n"
        "sys.stdout.buffer.write(b'\\xff no newline')\n",
        on_line=lines.append,
    )
    assert lines == ["plain", "10%", "20%", "red!", "\ufffd no newline"]
    assert b"\x1b[2J" in Path(result.log).read_bytes()


@pytest.mark.bwrap
def test_a_flood_of_output_neither_fills_the_disk_nor_holds_up_the_timeout(
    run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LOG_BYTES", 100_000)
    result = run_python("while True: print('x' * 10000)", limits=Limits(seconds=1))
    assert result.ended == "timeout"
    log = Path(result.log).read_text()
    assert len(log) < 101_000
    assert "leaves out the rest" in log


@pytest.mark.bwrap
def test_a_program_that_does_not_exist_is_an_error_of_the_sandbox(sandbox: HostSandbox, out: Path) -> None:
    spec = RunSpec(
        name="nothing",
        argv=("/no/such/program",),
        cwd=str(out),
        mounts=(Mount(path=str(out), writable=True),),
    )
    with pytest.raises(SandboxError) as caught:
        sandbox.run(spec)
    assert "/no/such/program" in caught.value.why
    assert "command.sh" in caught.value.next_step


@pytest.mark.bwrap
def test_a_mount_that_is_not_there_or_cannot_be_read_is_named(sandbox: HostSandbox, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for path, text in ((tmp_path / "absent", "absent"), (private, "o\\+rX")):
        if path == private and os.getuid() != 0:
            continue
        spec = RunSpec(name="x", argv=("/bin/true",), cwd=str(path), mounts=(Mount(path=str(path)),))
        with pytest.raises(SandboxError, match=text):
            sandbox.run(spec)
