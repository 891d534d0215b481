"""Runs linters, each in a process of its own.

Request: ``porter.records.validate.LintRequest``; answer: ``LintAnswer``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Answer the request."""
    ends = []
    for step in request["steps"]:
        command = [sys.executable, "-m", *step["argv"], *step["files"]]
        done = subprocess.run(command, cwd=step["root"], capture_output=True, text=True, check=False)
        sys.stdout.write(done.stdout)
        sys.stdout.write(done.stderr)
        ends.append({"exit_code": done.returncode, "out": done.stdout, "err": done.stderr})
    names = sorted({step["argv"][0] for step in request["steps"]})
    return {"ends": ends, "versions": {name: metadata.version(name) for name in names}}


if __name__ == "__main__":
    answer = run(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
