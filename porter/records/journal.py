"""What is done: records of steps and phases, and of the worktree of each clone."""

from __future__ import annotations

from typing import Literal

import msgspec

from porter.records.base import Record
from porter.records.gates import GateResult
from porter.records.reference import Repo


class OutputState(Record, frozen=True, kw_only=True):
    """A file as a step left it; *size* (bytes) and *mtime_ns* spare reading it again."""

    size: int
    mtime_ns: int
    sha256: str


class StepRecord(Record, frozen=True, kw_only=True):
    """A finished step.

    Attributes:
        inputs: digest by input name.
        outputs: state by path, relative to the workspace where the file lies in it.
        porter: version that ran it.
        result: what it returned, as JSON.
    """

    name: str
    inputs: dict[str, str]
    outputs: dict[str, OutputState]
    porter: str
    result: msgspec.Raw


class PhaseRecord(Record, frozen=True, kw_only=True):
    """A phase that was walked, to its end or to the gate that failed.

    Attributes:
        inputs: digest by input name; what another phase made appears as ``made: <step>``.
        outputs: the outputs of its steps.
        made: digest of the result by step name.
        gates: in the order in which they ran.
        porter: version that ran it.
    """

    number: int
    title: str
    inputs: dict[str, str]
    outputs: dict[str, OutputState]
    made: dict[str, str]
    gates: tuple[GateResult, ...]
    porter: str


class CloneRecord(Record, frozen=True, kw_only=True):
    """The worktree that a workspace has of one clone.

    Attributes:
        clone: the user's clone; porter only adds a worktree and a branch to it.
        worktree: the worktree in the workspace.
        base: what the user named; *commit* is what it resolved to.
        state: ``making`` until the checkout is whole.
    """

    repo: Repo
    clone: str
    worktree: str
    branch: str
    base: str
    commit: str
    state: Literal["making", "ready"]
