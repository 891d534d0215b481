"""A matrix that is asked to end while its rows are at work, and goes on afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# Only what a row runs is stood in for: something that takes its time and ends on ^C as porter does.
MATRIX = """
import os, sys
from porter import cli
from porter.matrix import command, run
from porter.records.sandbox import Environment

ROW = "import pathlib, sys, time; pathlib.Path('up').touch(); time.sleep(float(sys.argv[1]))"

class Child(run.Child):
    def __init__(self, argv, folder, out, log, cpus):
        super().__init__([sys.executable, "-c", ROW, os.environ["SECONDS"]], folder, out, log, cpus)

run.Child = Child
command._environment = lambda *_: Environment(name="e", prefix="/e", python="/e", digest="d")
cli.main()
"""
LIST = "\n".join(f'[[rows]]\nname = "{name}"\nsource = "org/{name}"\n' for name in ("one", "two", "three"))


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    (folder / "list.toml").write_text(LIST)
    options = ("--workspace", str(folder / "book"), "--embedded", "--jobs", "2")
    return subprocess.Popen(
        [sys.executable, "-c", MATRIX, "matrix", str(folder / "list.toml"), *options],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "SECONDS": str(seconds)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def matrix(folder: Path) -> Any:
    return json.loads((folder / "book" / "matrix.json").read_bytes())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_its_rows_and_goes_on_later(tmp_path: Path, how: signal.Signals) -> None:
    process = start(tmp_path, 300)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("book/rows/*/up"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in said) == (130, True), said
    assert matrix(tmp_path)["waiting"] == ["one", "three", "two"]
    assert "KeyboardInterrupt" in (tmp_path / "book" / "rows" / "one" / "log.txt").read_text()
    process = start(tmp_path, 0)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert matrix(tmp_path)["totals"] == {"ported": 3}
