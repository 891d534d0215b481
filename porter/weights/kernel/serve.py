"""The frame of a probe: a JSON request in, a JSON answer out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXPECTED_FAILURE = 3
"""Exit code of a probe that answers with an error that it foresaw."""


class ProbeError(Exception):
    """A failure that the probe foresaw and can explain."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.answer = {"error": {"what": what, "why": why, "next_step": next_step}}


def serve(run: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Read the request named first on the command line, write what *run* makes of it to the second.

    Returns:
        the exit code: 0, or 3 for a :class:`ProbeError`. Anything else that escapes *run* is a bug and
        ends the probe with a traceback.
    """
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        answer, code = run(request), 0
    except ProbeError as error:
        answer, code = error.answer, EXPECTED_FAILURE
    target = Path(sys.argv[2])
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")
    partial.replace(target)
    return code
