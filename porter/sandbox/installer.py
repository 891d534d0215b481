"""Running pip for a build: progress, a log without secrets, and an end that leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from porter import secrets

_HEARTBEAT = 10.0
_TAIL = 12

# A process that outlived a killed porter would go on writing into a folder that the next one builds anew.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

# What would make pip install somewhere else, or the interpreter look somewhere else.
_REMOVED = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONDONTWRITEBYTECODE",
    "VIRTUAL_ENV",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_NO_COMPILE",
    "PIP_NO_DEPS",
    "PIP_REQUIREMENT",
    "PIP_DRY_RUN",
    "PIP_QUIET",
    "PIP_VERBOSE",
)

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]+@")
_QUERY = re.compile(r"(https?://[^\s?]+)\?[^\s]+")


class Failure(Exception):  # noqa: N818 - it never leaves this package
    """A step of a build that ended with an error; *tail* holds its last lines."""

    def __init__(self, step: str, tail: str) -> None:
        super().__init__(f"{step}: {tail}")
        self.step = step
        self.tail = tail


def redact(text: str) -> str:
    """Return *text* without the credentials and query strings of its URLs."""
    return _QUERY.sub(r"\1?***", _CREDENTIALS.sub("***@", text))


class Installer:
    """Runs the steps of one build.

    Args:
        log: file that gets everything the steps print.
        progress: told each line worth showing, and every few seconds that a step still runs.
    """

    def __init__(self, log: Path, progress: Callable[[str], None]) -> None:
        self.log = log
        self._progress = progress
        log.write_bytes(b"")

    def run(self, step: str, argv: Sequence[str]) -> None:
        """Run one command; its lines go to the log and, shortened, to the progress callback.

        Raises:
            Failure: it ended with an error.
        """
        self._progress(step)
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
            umask=0o022,
        )
        try:
            tail = self._follow(step, process)
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            raise Failure(step, "\n".join(tail) or f"it ended with exit code {process.returncode}")

    def _follow(self, step: str, process: subprocess.Popen[bytes]) -> deque[str]:
        assert process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        tail: deque[str] = deque(maxlen=_TAIL)
        started = shown = time.monotonic()
        last = ""
        with self.log.open("a", encoding="utf-8") as log:
            while True:
                try:
                    line = lines.get(timeout=_HEARTBEAT)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                now = time.monotonic()
                if line:
                    log.write(line + "\n")
                    log.flush()
                    if not line.startswith("WARNING: Location"):
                        tail.append(line)
                    last = _worth_showing(line) or last
                    if last and _worth_showing(line):
                        self._progress(f"{step}: {last}")
                        shown = now
                if now - shown >= _HEARTBEAT:
                    self._progress(f"{step}: {now - started:.0f} s so far{f', {last}' if last else ''}")
                    shown = now
        process.wait()
        return tail


def _read(stream: IO[bytes], lines: queue.Queue[str | None]) -> None:
    for raw in stream:
        text = redact(raw.decode(errors="replace").rstrip())
        if text:
            lines.put(text)
    lines.put(None)


def _worth_showing(line: str) -> str:
    """Return the part of a line of pip that tells a person something, or nothing."""
    text = line.strip()
    if text.startswith("Installing collected packages"):
        return f"unpacking {text.count(',') + 1} packages"
    if text.startswith(("Downloading ", "Building wheel for ")) and "finished" not in text:
        return text
    return ""


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in secrets.without().items() if name not in _REMOVED}
    return {**kept, "PYTHONUNBUFFERED": "1", "PIP_PROGRESS_BAR": "off", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
