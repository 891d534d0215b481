"""Gates and their results."""

from __future__ import annotations

from typing import Any, Literal

from porter.records.base import Record

GateState = Literal["passed", "rehearsed", "failed", "blocked"]


class Gate(Record, frozen=True, kw_only=True):
    """A named check.

    Attributes:
        id: slug, unique.
        phase: the phase whose step it checks.
        title: what it proves, one line.
        cpu: whether it must pass on a CPU machine.
        stand_in: what stands in for a part of it on a CPU machine, where it is then rehearsed.
        steps: steps of the journal that it rests on, beside those of gates before it.
    """

    id: str
    phase: int
    title: str
    cpu: bool = True
    stand_in: str = ""
    steps: tuple[str, ...] = ()


class GateResult(Record, frozen=True, kw_only=True):
    """How a gate ended, with its evidence.

    Attributes:
        summary: one line; the reason and the unblocking command where it is blocked.
        evidence: numbers and names that back it.
        cause, fix: for a failure, from the table of likely causes.
        command: repeats it by hand.
        log: file with the full output.
    """

    gate: str
    state: GateState
    summary: str
    evidence: dict[str, Any] = {}
    cause: str = ""
    fix: str = ""
    command: str = ""
    log: str = ""
