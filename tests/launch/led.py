"""`porter train` on this machine, as tests of it give commands and look at what came of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer.testing
import yaml

from porter.cli import app
from porter.errors import PorterError
from porter.records.base import from_json
from porter.records.jobs import Job, Run
from tests.launch.fields import coco
from tests.launch.stub_tao import StubTao

CHECKPOINT = "dino_model_latest.pth"
PLAIN = ("--automl", "off")
SEARCH = ("--trials", "4", "--vary", "lr=1e-4..1e-2")


def porter(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; return its exit code, and all that it said."""
    done = typer.testing.CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, PorterError):
        return done.exception.exit_code, f"{done.output}{done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def training(stub: StubTao, *more: str) -> list[str]:
    """Return the arguments of a training on small data."""
    if not Path("data").is_dir():
        coco(Path("data"))
    start = (
        "train",
        "dino",
        "--train-data",
        "data",
        "--set",
        "num_classes=5",
        "--base-checkpoint",
        "start.pth",
    )
    return [*start, "--platform", "virtualenv", "--venv", str(stub.prefix), "--gpus", "0", "--yes", *more]


def train(stub: StubTao, *more: str) -> tuple[int, str]:
    return porter(*training(stub, *more))


def run(name: str = "dino-1") -> Run:
    return from_json((Path("porter-runs") / name / "run.json").read_bytes(), Run)


def job(name: str, of: str = "dino-1") -> Job:
    return next(job for job in run(of).jobs if job.name == name)


def spec_of(job: Job) -> Any:
    (path,) = (Path(job.results).parents[1] / "spec").iterdir()
    return yaml.safe_load(path.read_text())


def left(job: Job) -> set[str]:
    return {path.name for path in Path(job.results).rglob("*") if path.is_file()}


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it has not come to pass"
        time.sleep(0.05)


class Killed:
    """A `porter train` in a process of its own, that a test kills."""

    def __init__(self, arguments: list[str]) -> None:
        code = (
            "import sys; from porter.launch import build; from tests.launch.answers import SOURCE; "
            "from tests.launch.fields import dino_answer; from porter.cli import main; "
            "build.ask = lambda found, given, ui: (dino_answer(), SOURCE); main()"
        )
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self, number: int = signal.SIGKILL) -> int:
        self._process.send_signal(number)
        return self._process.wait(timeout=60)


def run_there() -> bool:
    return (Path("porter-runs") / "dino-1" / "run.json").is_file()


def left_of(name: str) -> set[str]:
    found = [known for known in run().jobs if known.name == name and known.results]
    return left(found[0]) if found else set()
