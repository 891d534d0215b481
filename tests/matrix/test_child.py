"""The process of a row: its memory, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from porter.matrix.child import Child

SLEEPS = """
import time
try:
    print("up", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("asked")
"""
NESTED = """
import subprocess, sys
inner = "import time; kept = bytearray(90_000_000); print('up', flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", inner], start_new_session=True)
"""


def child(folder: Path, code: str) -> Child:
    return Child([sys.executable, "-c", code], folder, folder / "out", folder / "log")


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_up(folder: Path) -> bool:
    return "up" in (folder / "out").read_text()


def test_it_keeps_output_and_error_apart_and_tells_its_end(tmp_path: Path) -> None:
    process = child(tmp_path, "import sys; print('result'); print('said', file=sys.stderr); sys.exit(3)")
    wait(lambda: process.ended)
    assert process.exit_code == 3
    assert ((tmp_path / "out").read_text(), (tmp_path / "log").read_text()) == ("result\n", "said\n")


def test_it_keeps_to_its_processors_and_so_does_what_it_starts(tmp_path: Path) -> None:
    last = max(os.sched_getaffinity(0))
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    inner = "import os; print(os.sched_getaffinity(0))"
    command = [sys.executable, "-c", code, inner]
    process = Child(command, tmp_path, tmp_path / "out", tmp_path / "log", cpus=(last,))
    wait(lambda: process.ended)
    assert (tmp_path / "out").read_text() == f"{{{last}}}\n"


def test_it_can_be_asked_to_stop(tmp_path: Path) -> None:
    process = child(tmp_path, SLEEPS)
    wait(lambda: is_up(tmp_path))
    (alone,) = _with('print("asked")')
    assert os.getpgid(alone) != os.getpgid(0), "^C on a terminal would reach it twice"
    process.interrupt()
    wait(lambda: process.ended)
    assert (tmp_path / "out").read_text() == "up\nasked\n"


def test_memory_and_end_are_of_the_whole_tree(tmp_path: Path) -> None:
    process = child(tmp_path, NESTED)
    wait(lambda: is_up(tmp_path))
    assert process.held() > 90_000_000
    before = _with("kept = bytearray(90_000_000)")
    assert before
    process.kill()
    assert process.ended
    wait(lambda: not _with("kept = bytearray(90_000_000)"))


def test_it_does_not_outlive_a_matrix_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from porter.matrix.child import Child; "
        "folder = Path(sys.argv[1]); "
        "Child([sys.executable, '-c', sys.argv[2]], folder, folder / 'out', folder / 'log'); time.sleep(60)"
    )
    matrix = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), SLEEPS], cwd=Path(__file__).parents[2]
    )
    wait(lambda: (tmp_path / "out").exists() and is_up(tmp_path))
    os.kill(matrix.pid, signal.SIGKILL)
    matrix.wait()
    wait(lambda: "asked" in (tmp_path / "out").read_text())


def _with(text: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            if text in command and "subprocess.run" not in command:
                found.append(int(folder.name))
    return found
