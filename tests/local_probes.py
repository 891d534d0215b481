"""Runs probes that need no torch with the interpreter of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from porter.records.base import Record, from_json, to_json

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]


class LocalProbes:
    """Keeps what each probe was allowed to see and change."""

    def __init__(self) -> None:
        self.read: list[Path] = []
        self.write: list[Path] = []

    def probe(
        self,
        name: str,
        request: Record,
        answer: type[T],
        *,
        read: Sequence[Path | str] = (),
        write: Sequence[Path | str] = (),
    ) -> T:
        self.read += [Path(path) for path in read]
        self.write += [Path(path) for path in write]
        with tempfile.TemporaryDirectory() as scratch:
            asked, answered = Path(scratch, "request.json"), Path(scratch, "answer.json")
            asked.write_bytes(to_json(request))
            subprocess.run(
                [sys.executable, ROOT / "porter" / "probes" / f"{name}.py", asked, answered],
                check=True,
                cwd=scratch,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            return from_json(answered.read_bytes(), answer)
