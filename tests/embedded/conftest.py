"""The kit at work: its tasks run once per session, in the managed environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porter.records.sandbox import Environment
from tests.real_clones import real_clone

KIT = Path(__file__).parents[2] / "porter" / "embedded" / "kit" / "tao-pytorch"
DRIVER = Path(__file__).parent / "tasks_in_process.py"

Answer = dict[str, Any]


class Tasks:
    """What came of the four tasks on one tree."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.folder = folder
        self.answer = answer


def variables(environment: Environment, *trees: Path, home: Path) -> dict[str, str]:
    """Return the variables with which the environment's Python finds *trees*, and nothing of the user's."""
    return {
        "PATH": f"{Path(environment.python).parent}:{os.defpath}",
        "HOME": str(home),
        "PYTHONPATH": ":".join([*map(str, trees), *environment.python_path]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TELEMETRY_OPT_OUT": "yes",
        "WANDB_MODE": "disabled",
    }


@pytest.fixture(scope="session")
def dataset(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of coloured noise, named so that their order is not the alphabet's."""
    root = tmp_path_factory.mktemp("data")
    code = """
import random, sys
from pathlib import Path
from PIL import Image

random.seed(3)
shades = {True: (150, 230), False: (0, 60)}
for split, count in (("train", 7), ("val", 4), ("test", 4)):
    for name, tint in (("zebra", 0), ("ant", 1), ("cat", 2)):
        folder = Path(sys.argv[1], split, name)
        folder.mkdir(parents=True)
        for number in range(count):
            noise = bytes(random.randint(*shades[i % 3 == tint]) for i in range(40 * 36 * 3))
            Image.frombytes("RGB", (40, 36), noise).save(folder / f"{name}{number}.png")
Path(sys.argv[1], "classes.txt").write_text("zebra\\nant\\ncat\\n")
"""
    subprocess.run([tao_environment.python, "-c", code, str(root)], check=True)
    return root


@pytest.fixture(scope="session")
def run_tasks(
    tao_environment: Environment, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Tasks]:
    """Run the four tasks on a tree; paths in the answer are relative, so that two trees compare."""

    def run(tree: Path) -> Tasks:
        folder = tmp_path_factory.mktemp("tasks")
        done = subprocess.run(
            [tao_environment.python, str(DRIVER), str(dataset), "results", "answer.json"],
            cwd=folder,
            env=variables(tao_environment, tree, home=folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return Tasks(folder, json.loads((folder / "answer.json").read_text()))

    return run


@pytest.fixture(scope="session")
def kit(run_tasks: Callable[[Path], Tasks]) -> Tasks:
    return run_tasks(KIT)


@pytest.fixture(scope="session")
def real(run_tasks: Callable[[Path], Tasks]) -> Tasks:
    return run_tasks(real_clone("tao-pytorch"))
