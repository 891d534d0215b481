"""`porter train` of a ported classifier on images of three colours, which tests of a port share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from porter.launch import remembered
from porter.records.base import from_json
from porter.records.jobs import Job, Run
from porter.workspace import Workspace
from tests.e2e.conftest import Done, run_porter

COLOURS = {"blue": (30, 40, 200), "green": (20, 180, 40), "red": (210, 30, 30)}
TRAIN, VAL = 8, 4
_SECONDS = 300


def images(folder: Path) -> tuple[Path, Path]:
    """Write a training and a validation set; returns their folders."""
    for name, count in (("train", TRAIN), ("val", VAL)):
        for colour, values in COLOURS.items():
            place = folder / name / f"images_{name}" / colour
            place.mkdir(parents=True)
            for number in range(count):
                shade = tuple(min(255, value + 7 * number) for value in values)
                Image.new("RGB", (40, 36), shade).save(place / f"{number}.png")
        (folder / name / "classes.txt").write_text("\n".join(COLOURS) + "\n")
    return folder / "train", folder / "val"


def remember(workspace: Path, name: str, cache: Path) -> None:
    """Have porter take a name for this port: others of the tests have it too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_CACHE", str(cache))
        remembered.remember(Workspace.open(workspace), name)


class Trainings:
    """Runs of one ported network, in a folder of their own.

    Attributes:
        name: of the network.
        folder: with the data and the runs.
    """

    def __init__(self, name: str, folder: Path, cache: Path) -> None:
        self.name = name
        self.folder = folder
        self._cache = cache
        self._train, self._val = images(folder)

    def arguments(self, *more: str) -> list[str]:
        """Return a training on the CPU with as few steps as one has."""
        data = ["--train-data", str(self._train), "--eval-data", str(self._val), "--set", "num_classes=3"]
        small = ["--set", "dataset.workers=1", "--set", "batch_size=8"]
        return ["train", self.name, *data, *small, "--platform", "virtualenv", "--gpus", "0", "--yes", *more]

    def porter(self, *arguments: str) -> Done:
        """Run a command to its end."""
        return run_porter(self._cache, *arguments, cwd=self.folder)

    def killed(self, until: Callable[[], bool], *arguments: str) -> None:
        """Start a command, and kill it when something is so."""
        process = subprocess.Popen(
            [sys.executable, "-m", "porter", *arguments],
            cwd=self.folder,
            env={**os.environ, "PORTER_CACHE": str(self._cache)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _SECONDS
        while not until():
            assert process.poll() is None, "it has ended by itself"
            assert time.monotonic() < end, "it has not come to pass"
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)

    def run(self, number: int) -> Run:
        """Return the record of a run."""
        return from_json(self._record(number).read_bytes(), Run)

    def job(self, number: int, name: str) -> Job | None:
        """Return a job of a run; None where there is none yet."""
        if not self._record(number).is_file():
            return None
        return next((job for job in self.run(number).jobs if job.name == name), None)

    def _record(self, number: int) -> Path:
        return self.folder / "porter-runs" / f"{self.name}-{number}" / "run.json"


def file(job: Job | None, path: str) -> Path:
    """Return a file of a job's results, whether it is there or not."""
    return Path(job.results) / path if job and job.results else Path("/nowhere")
