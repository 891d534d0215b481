"""One port as a process of its own, and the end of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from porter.sandbox.process import end_tree, private_memory

_PDEATHSIG = 1


class Child:
    """A process that is at work; it does not outlive the one that started it.

    Args:
        argv: the command.
        folder: its working folder.
        out, log: files that get its standard output and error.
        cpus: processors that it keeps to, with all that it starts.
    """

    def __init__(
        self, argv: Sequence[str], folder: Path, out: Path, log: Path, cpus: Sequence[int] = ()
    ) -> None:
        with out.open("wb") as sink, log.open("wb") as errors:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=errors,
                cwd=folder,
                # ^C is for the whole matrix: it tells its rows by itself.
                start_new_session=True,
                preexec_fn=functools.partial(_settle, os.getpid(), tuple(cpus)),
            )

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    @property
    def exit_code(self) -> int:
        """Its exit code once it has ended; negative numbers are signals."""
        return self._process.wait()

    def held(self) -> int:
        """Return the bytes of memory that its whole tree of processes holds, without pages of files."""
        return private_memory(self._process.pid)

    def interrupt(self) -> None:
        """Ask it to stop, as ^C does: porter ends its sandboxes and containers then."""
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and everything below it at once."""
        if self._process.poll() is None:
            end_tree(self._process.pid)
            self._process.wait()


def _settle(parent: int, cpus: Sequence[int]) -> None:
    """Prepare the new process: it goes with *parent*, and takes ^C also where the parent was told not to."""
    if cpus:
        os.sched_setaffinity(0, cpus)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        os._exit(130)
