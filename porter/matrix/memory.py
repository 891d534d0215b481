"""How much memory there is, and whether a row may start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from porter.records.base import Record

BASE = int(1.6 * 2**30)
"""What the port of a model without weights takes: torch, transformers and TAO in the sandbox, and porter."""

PER_WEIGHT_BYTE = 8
"""Copies of the weights that a port holds at a time, at most: two models, gradients, Adam, ONNX."""

_CGROUPS = Path("/sys/fs/cgroup")
_MARGIN = 256 * 2**20


class Held(Record, frozen=True, kw_only=True):
    """A row that runs: what was reckoned for it, and what it holds now, in bytes."""

    reckoned: int
    now: int


def reckon(weights: int, *, given_gb: float = 0.0, known: int = 0) -> int:
    """Return the bytes that a port is reckoned to need.

    Args:
        weights: size of the files with the weights.
        given_gb: what the list says; goes before everything.
        known: the peak of the same row in an earlier run; 0 for none.
    """
    if given_gb:
        return int(given_gb * 2**30)
    if known:
        return int(1.2 * known)
    return BASE + PER_WEIGHT_BYTE * weights


def fits(needed: int, available: int, running: Sequence[Held]) -> bool:
    """Return whether a row that needs *needed* bytes may start beside those that run.

    Those may still grow to what was reckoned for them, and *available* knows nothing of that yet.
    """
    promised = sum(max(0, each.reckoned - each.now) for each in running)
    return needed + promised + _MARGIN <= available


def available(meminfo: Path = Path("/proc/meminfo"), cgroups: Path = _CGROUPS) -> int:
    """Return the bytes that can be had without swapping, of the machine or the container that this is in."""
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    found = int(fields["MemAvailable"].split()[0]) * 1024
    try:
        limit, used = ((cgroups / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return found
    if not (limit.isdigit() and used.isdigit()):
        return found
    return min(found, max(0, int(limit) - int(used) + _cached(cgroups)))


def _cached(cgroups: Path) -> int:
    """Return the bytes of file pages that the kernel takes back when the group runs out of memory."""
    try:
        lines = (cgroups / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def weights_in(folder: Path) -> int:
    """Return the size of the files with weights in a model folder; 0 where it is none."""
    endings = (".safetensors", ".bin")
    try:
        return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(endings))
    except OSError:
        return 0
