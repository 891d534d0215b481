"""Runs a program and kills it with SIGKILL at its n-th effect on the file system.

    python -m tests.kill.driver --at 17 -- module:function argument...

The function is called without arguments and finds its own in ``sys.argv``. Effects are counted through
Python's audit events (and two wrapped functions that raise none), so the program needs no hook for it. A
kill comes just before the effect; in ``os.write`` it comes when half of the data is written. An *n* beyond
the last effect, or none, lets the program end; ``--report`` then names the effects, one per line.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EFFECTS = {
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "subprocess.Popen",
}


class Killer:
    """Counts effects and kills at the one that was asked for."""

    def __init__(self, at: int | None, delay: float | None, group: bool) -> None:
        self.at = at
        self.delay = delay
        self.group = group
        self.effects: list[str] = []
        self.armed = False

    def arm(self) -> None:
        """Begin to count; there is no way to take an audit hook out again."""
        os_write, os_fsync = os.write, os.fsync

        def write(descriptor: int, data: Any, /) -> int:
            if self._is_due("os.write"):
                os_write(descriptor, bytes(data)[: len(data) // 2])
                self._kill()
            return os_write(descriptor, data)

        def fsync(fd: Any) -> None:
            self._count("os.fsync")
            os_fsync(fd)

        os.write, os.fsync = write, fsync
        sys.addaudithook(self._hook)
        self.armed = True

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EFFECTS:
            self._count(f"{event} {arguments[0] if event != 'subprocess.Popen' else arguments[1]}")
        elif event == "open":
            path, _, flags = arguments
            if flags & _WRITING and not isinstance(path, int) and not os.fsdecode(path).startswith("/dev/"):
                self._count(f"open {os.fsdecode(path)}")

    def _count(self, effect: str) -> None:
        if self._is_due(effect):
            self._kill()

    def _is_due(self, effect: str) -> bool:
        if self.armed:
            self.effects.append(effect)
        return self.armed and len(self.effects) == self.at

    def _kill(self) -> None:
        if self.delay is None:
            self._kill_now()
        self.armed = False
        timer = threading.Timer(self.delay or 0.0, self._kill_now)
        timer.daemon = True
        timer.start()

    def _kill_now(self) -> None:
        if self.group:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Parse the command line, run the program, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill.driver")
    parser.add_argument("--at", type=int, help="kill at this effect; 1 is the first")
    parser.add_argument("--delay-ms", type=float, help="let the program go on for so long after that effect")
    parser.add_argument("--group", action="store_true", help="kill the whole process group, children too")
    parser.add_argument("--report", type=Path, help="file for the list of effects of a program that ended")
    parser.add_argument("target", metavar="module:function")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    if options.group and os.getpgrp() != os.getpid():
        parser.error("--group needs a process group of its own: start me with setsid")
    module, _, function = options.target.partition(":")
    program = getattr(importlib.import_module(module), function)
    sys.argv = [function, *options.arguments]
    sys.dont_write_bytecode = True
    delay = None if options.delay_ms is None else options.delay_ms / 1000
    killer = Killer(options.at, delay, options.group)
    killer.arm()
    status: object = None
    try:
        status = program()
    except SystemExit as end:
        status = end.code
    killer.armed = False
    if options.report:
        options.report.write_text("".join(f"{effect!r}\n" for effect in killer.effects))
    print(f"ended after {len(killer.effects)} effects", file=sys.stderr)
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    sys.exit(main())
