"""Runs Python in the rehearsal environment."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from porter.records.sandbox import Environment


def run_inside(
    environment: Environment, arguments: Sequence[str], *, home: Path, packages: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter of the environment in a folder of its own.

    Args:
        environment: the rehearsal environment.
        arguments: what follows the interpreter.
        home: working folder and home.
        packages: further folders to import from, after the stand-ins.
    """
    path = [*environment.python_path, *map(str, packages)]
    return subprocess.run(
        [environment.python, *arguments],
        cwd=home,
        env={"PYTHONPATH": ":".join(path), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
