"""First process of a container that serves runs by exec: lives as long as porter asks for, and no longer.

Every line on standard input is a number of seconds to live from now on. The end of the input (porter is gone,
however it went), a deadline that passes, or a TERM ends the container and everything in it. It says ``ready``
once a run can start. Ended children of ended runs are reaped by the kernel.
"""

import os
import select
import signal
import sys
import time


def main() -> None:
    """Wait for the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deadline = time.monotonic() + float(sys.argv[1])
    os.write(1, b"ready\n")
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([0], [], [], left)
        if not readable:
            continue
        data = os.read(0, 4096)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            deadline = time.monotonic() + float(lines[-1])


main()
