"""What every interpreter of a managed environment runs when it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from porter.resources import tree

START = tree("containers") / "tao-pytorch-7.0.1" / "start"

COLLECTIONS = "import gc; kept = [[] for _ in range(200_000)]; print(gc.get_stats()[0]['collections'])"

LEFT = """
import atexit
class Left:
    def __init__(self, path):
        self.itself, self.file = self, open(path, "w")
    def write(self, text):
        self.file.write(text)
        return self
    def __del__(self):
        print("garbage")
Left("garbage").write("of nobody")
kept = Left("kept").write("of a module")
closed = Left("closed").write("by itself")
closed.file.close()
full = Left("/dev/full").write("in vain")
atexit.register(lambda: kept.write(", and of its end"))
raise SystemExit(5)
"""


def run(source: str, folder: Path, start: Path | None) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that starts as those of the set do, or as it does by itself."""
    env = {"PYTHONPATH": str(start)} if start else {}
    command = [sys.executable, "-B", "-c", source]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_it_looks_for_garbage_seldom(tmp_path: Path) -> None:
    usual, seldom = (int(run(COLLECTIONS, tmp_path, start).stdout) for start in (None, START))
    assert seldom * 10 < usual


def test_files_that_are_left_open_are_whole(tmp_path: Path) -> None:
    done = run(LEFT, tmp_path, START)
    assert done.returncode == 5
    assert "garbage" in done.stdout
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {
        "garbage": "of nobody",
        "kept": "of a module, and of its end",
        "closed": "by itself",
    }
