"""What was brought into a run's folder."""

from __future__ import annotations

from typing import Any

from porter.records.base import Record
from porter.records.training import Mount


class Brought(Record, frozen=True, kw_only=True):
    """One thing that is there whole.

    Attributes:
        source, target: as in what was to be staged.
        stamp: tells whether the source is still the one that it was.
        path: where it is, below the run's folder; of a checkpoint of NGC the file itself.
        files, bytes: of what is there.
    """

    source: str
    target: str
    stamp: str
    path: str
    files: int
    bytes: int


class Resolved(Record, frozen=True, kw_only=True):
    """A spec with the paths that a job finds, and what has to be mounted for that."""

    spec: dict[str, Any]
    mounts: tuple[Mount, ...] = ()
