"""How much anonymous memory a piece of work needs."""

from __future__ import annotations

import gc
import threading
from types import TracebackType


def anonymous() -> int:
    """Return this process's RssAnon in bytes; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - called in a tight loop
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class AnonymousPeak:
    """Watches RssAnon while the block runs.

    ``VmHWM`` and ``ru_maxrss`` would count mapped file pages too, so a thread samples; whoever holds
    a large temporary calls :meth:`sample` as well.

    Attributes:
        baseline: bytes at the start.
        peak: largest number of bytes above the baseline.
    """

    def __init__(self, seconds: float = 0.001) -> None:
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.baseline = 0
        self.peak = 0

    def __enter__(self) -> AnonymousPeak:
        gc.collect()
        # The thread's own stack and locals belong to the baseline.
        self._thread.start()
        self._stop.wait(self._seconds)
        self.baseline = anonymous()
        self.peak = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sample()
        self._stop.set()
        self._thread.join()

    def sample(self) -> None:
        """Take one sample now."""
        self.peak = max(self.peak, anonymous() - self.baseline)

    def _watch(self) -> None:
        while not self._stop.wait(self._seconds):
            if self.baseline:
                self.sample()
