"""Prints porter's own time in phases 1 to 3: everything but the sandboxed work. Goal: under 3 s.

A port of a small ViT on the embedded kit is recorded once and then played back: host, git, journal and
write gate are real, the sandbox answers at once. Needs the managed environment.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from porter import cache
from porter.demo import PROCESSOR, make_model
from tests.e2e.clones import CONFIG, add_mini_backbone, kit_clone
from tests.e2e.replay import RECORDING, WORKSPACE
from tests.repositories import git

ROUNDS = 5
GOAL_SECONDS = 3.0


def run(function: str, stage: Path, *more: str) -> float:
    """Run a port in *stage* and return its wall time in seconds."""
    variables = {
        RECORDING: str(stage.parent / "recording"),
        WORKSPACE: str(stage / "port"),
        "PORTER_CACHE": str(cache.root()),
    }
    code = f"import sys; from tests.e2e.replay import {function}; sys.exit({function}())"
    arguments = ["port", str(stage.parent / "model"), "--name", "mini_vit", "--yes", "--json"]
    arguments += ["--tao-pytorch", str(stage / "clone"), "--workspace", str(stage / "port"), *more]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def fresh(stage: Path, original: Path) -> Path:
    """Return an empty stage with its clone."""
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    git(stage, "clone", "-q", str(original), str(stage / "clone"))
    return stage


def main() -> None:
    """Record, play back, print."""
    with tempfile.TemporaryDirectory(prefix="porter-benchmark-") as folder:
        root = Path(folder)
        original = add_mini_backbone(kit_clone(root / "kit"))
        make_model(root / "model", config=CONFIG, processor=PROCESSOR | {"size": {"height": 32, "width": 32}})
        (root / "recording").mkdir()
        stage = fresh(root / "stage", original)
        (root / "recording" / "workspace").write_text(str(stage / "port"))
        real = run("record", stage)
        first, whole, again = [], [], []
        for _ in range(ROUNDS):
            first.append(run("replay", fresh(stage, original), "--until", "0"))
            whole.append(run("replay", stage))
            again.append(run("replay", stage))
    host = statistics.median(whole) - statistics.median(first)
    print(f"with the sandbox's work       {real:6.2f} s")
    print(f"phases 1 to 3, host alone     {host:6.2f} s, {host / GOAL_SECONDS:.2f} of the goal of 3 s")
    print(f"a finished port, run again    {statistics.median(again):6.2f} s (goal: under 2 s)")


if __name__ == "__main__":
    main()
