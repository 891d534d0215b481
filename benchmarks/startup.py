"""Prints what `porter --help` costs over a bare interpreter. Goal: 150 ms."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 20
GOAL_MS = 150


def milliseconds(argv: list[str]) -> float:
    """Return the wall time of one run."""
    start = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Alternate the two, so that both see the same machine."""
    bare, porter = [sys.executable, "-c", "pass"], [sys.executable, "-m", "porter", "--help"]
    pairs = [(milliseconds(bare), milliseconds(porter)) for _ in range(ROUNDS + 2)][2:]
    base, full = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"python -c pass   {base:7.1f} ms (median of {ROUNDS})")
    print(f"porter --help    {full:7.1f} ms, {full / base:.1f} times as long")
    print(
        f"over the bare    {full - base:7.1f} ms, {(full - base) / GOAL_MS:.2f} of the goal of {GOAL_MS} ms"
    )


if __name__ == "__main__":
    main()
