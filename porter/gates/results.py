"""Short ways to say how a gate ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from porter.errors import PorterError, SandboxError
from porter.gates.catalogue import BY_ID, GATES
from porter.gates.causes import likely_cause
from porter.records.gates import GateResult


def passed(gate: str, summary: str, **evidence: Any) -> GateResult:
    """Return a passed gate with its evidence."""
    return GateResult(gate=BY_ID[gate].id, state="passed", summary=summary, evidence=evidence)


def rehearsed(gate: str, summary: str, **evidence: Any) -> GateResult:
    """Return a gate that ran with its stand-in; it proves the wiring, not the numbers of the real part."""
    stand_in = BY_ID[gate].stand_in
    if not stand_in:
        raise ValueError(f"gate {gate} has no stand-in")
    evidence = {"stand_in": stand_in, **evidence}
    return GateResult(gate=gate, state="rehearsed", summary=summary, evidence=evidence)


def blocked(gate: str, summary: str, **evidence: Any) -> GateResult:
    """Return a blocked gate; *summary* says what is missing and how to get it."""
    return GateResult(gate=BY_ID[gate].id, state="blocked", summary=summary, evidence=evidence)


def failed(gate: str, summary: str, *, text: str = "", fix: str = "", **evidence: Any) -> GateResult:
    """Return a failed gate; cause and fix are looked up in *text* (a log or traceback)."""
    cause, known_fix = likely_cause(text or summary)
    return GateResult(
        gate=BY_ID[gate].id,
        state="failed",
        summary=summary,
        evidence=evidence,
        cause=cause,
        fix=fix or known_fix,
    )


def from_error(gate: str, error: PorterError) -> GateResult:
    """Return the failed gate of a step that ended in an expected error."""
    result = failed(gate, error.what, text=str(error), fix=error.next_step)
    return result if result.cause else _with_cause(result, error)


def _with_cause(result: GateResult, error: PorterError) -> GateResult:
    cause = error.why.splitlines()[-1] if isinstance(error, SandboxError) and error.why else error.why
    return GateResult(gate=result.gate, state="failed", summary=result.summary, cause=cause, fix=result.fix)


def log_tail(path: str, lines: int = 200) -> str:
    """Return the last lines of a log; empty where there is none."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def stopped_gate(number: int, gates: Sequence[GateResult], error: PorterError) -> GateResult:
    """Return the gate that *error* kept from passing: the one that comes after *gates* of the phase."""
    coming = [gate.id for gate in GATES if gate.phase == number]
    for gate in gates:
        if gate.gate in coming:
            coming = coming[coming.index(gate.gate) + 1 :]
    return from_error((coming or [gate.id for gate in GATES if gate.phase == number])[0], error)
