"""Starts a program under the kill driver, each time in a fresh process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """What is run: ``module:function``, its arguments, and variables beside those of this process."""

    target: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def effects(self, report: Path) -> list[str]:
        """Run to the end and return the effects that were counted."""
        done = self._drive(["--report", str(report)])
        if done.returncode != 0:
            raise AssertionError(f"{self.target} ended with {done.returncode}:\n{done.stderr}")
        return report.read_text().splitlines()

    def finish(self) -> None:
        """Run to the end."""
        done = self._drive([])
        if done.returncode != 0:
            raise AssertionError(f"{self.target} ended with {done.returncode}:\n{done.stderr}")

    def kill(self, at: int, *, delay_ms: float | None = None, group: bool = False) -> bool:
        """Kill at effect *at*; False where the program had ended before that."""
        options = ["--at", str(at), *(["--group"] if group else [])]
        options += [] if delay_ms is None else ["--delay-ms", str(delay_ms)]
        done = self._drive(options)
        if done.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(f"{self.target} ended with {done.returncode}:\n{done.stderr}")
        return done.returncode != 0

    def _drive(self, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tests.kill.driver", *options, "--", self.target, *self.arguments]
        return subprocess.run(
            argv,
            cwd=_ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
