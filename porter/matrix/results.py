"""Reads what became of a row from the workspace of its port, and from what porter said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from porter.errors import ModelRejectedError, PorterError
from porter.records.base import Record
from porter.records.matrix import MatrixGate, MatrixHop, MatrixRow, RowState
from porter.records.review import Review, ReviewGate, ReviewHop
from porter.report.review import build_review
from porter.sandbox.process import printable
from porter.workspace import Workspace

_SAID = re.compile(r"^porter: (?P<what>.*?)(?:\nwhy:  (?P<why>.*?))?(?:\nnext: (?P<next>.*))?\Z", re.S | re.M)
_LOG_BYTES = 16_000
_RELOAD = "load_from_checkpoint"


class End(Record, frozen=True, kw_only=True):
    """How the process of a port ended.

    Attributes:
        how: as the scheduler says.
        log: file with its standard error.
    """

    how: str
    exit_code: int
    seconds: float
    peak_bytes: int
    log: str


def read_row(
    name: str, workspace: Path, end: End, shown: Mapping[str, str] | None = None, **known: Any
) -> MatrixRow:
    """Return the row of a port that has ended, however it ended.

    Args:
        name: of the row.
        workspace: of the port; what it holds is shown as far as it got.
        end: how its process ended.
        shown: how paths of this machine are shown.
        known: further fields of the row.
    """
    state = state_of(end)
    what, why, next_step = said(Path(end.log))
    facts = _facts(workspace)
    if state == "ported":
        reason = ""
    elif state == "stopped":
        reason = f"stopped after {end.seconds:.0f} s: its time was over"
    else:
        reason = (
            f"{what.rstrip('.')}: {why}" if why else what or f"porter ended with exit code {end.exit_code}"
        )
    return MatrixRow(
        **{
            **facts,
            "name": name,
            "state": state,
            "reason": _one_line(reason, shown or {}),
            "next_step": _one_line(next_step, shown or {}) if state in ("failed", "refused") else "",
            "seconds": round(end.seconds, 1),
            "peak_bytes": end.peak_bytes,
            "log": _one_line(end.log, shown or {}),
            **known,
        }
    )


def state_of(end: End) -> RowState:
    """Return how a row ended by the exit code of its port."""
    if end.how != "ended":
        return "stopped"
    if end.exit_code == 0:
        return "ported"
    return "refused" if end.exit_code == ModelRejectedError.exit_code else "failed"


def said(log: Path) -> tuple[str, str, str]:
    """Return what porter said last: what happened, why, and the next step; empty where it said nothing."""
    try:
        data = log.read_bytes()[-_LOG_BYTES:]
    except OSError:
        return "", "", ""
    text = data.decode(errors="replace")
    text = "\n".join(printable(line) for line in text.splitlines()).rstrip("\n")
    start = text.rfind("\nporter: ") + 1
    found = _SAID.match(text[start:])
    if found is None:
        return "", "", ""
    return found["what"].strip(), (found["why"] or "").strip(), (found["next"] or "").strip()


def _one_line(text: str, shown: Mapping[str, str]) -> str:
    """Return a reason as one line, short enough for a table of many."""
    for path, instead in shown.items():
        text = text.replace(path, instead)
    flat = re.sub(r"\s*\n\s*", "; ", text.strip())
    return flat if len(flat) <= 600 else f"{flat[:597]}..."


def _facts(workspace: Path) -> dict[str, Any]:
    """Return the fields that the port's records fill; none where there are no records."""
    try:
        review = build_review(Workspace.open(workspace), [])
    except PorterError:
        return {}
    return facts_of(review)


def facts_of(review: Review) -> dict[str, Any]:
    """Return the fields of a row that a review of its port fills; pure."""
    gates = [gate for phase in review.phases for gate in phase.gates]
    by_name = {gate.gate: gate for gate in gates}
    ran = [gate for gate in gates if gate.state != "not run"]
    counts: dict[str, int] = {}
    for gate in ran:
        counts[gate.state] = counts.get(gate.state, 0) + 1
    found: dict[str, Any] = {
        "gates": tuple(_gate(gate) for gate in ran),
        "counts": counts,
        "hops": tuple(_hop(hop, by_name[hop.gate].evidence) for hop in review.hops),
        "preprocessing": _largest(by_name, "preprocessing", "checks"),
        "trained": _passed(by_name, "run-train"),
        "reloaded": _reloaded(by_name.get("parity-tao")),
        "rtx": _seconds(by_name.get("parser")),
    }
    if review.findings is not None:
        found |= {
            "model_type": review.findings.model_type,
            "architecture": _architecture(review),
            "parameters": review.findings.parameters,
            "image_size": review.findings.image_size,
        }
    if review.reference is not None:
        choice = review.reference.strategy
        found |= {
            "strategy": choice.strategy,
            "strategy_reason": choice.reason,
            "rejected": choice.rejected,
            "forced": choice.forced,
        }
    if review.ledger is not None:
        found |= {
            "source_tensors": review.ledger.source_tensors,
            "target_tensors": review.ledger.target_tensors,
            "fates": dict(sorted(review.ledger.fates.items())),
            "closed": _passed(by_name, "ledger"),
        }
    return found


def _gate(gate: ReviewGate) -> MatrixGate:
    return MatrixGate(gate=gate.gate, phase=gate.phase, state=gate.state, summary=gate.summary)


def _architecture(review: Review) -> str:
    """Return the model class; for a timm model its own name, which the class of the wrapper does not tell."""
    if review.findings is None:
        return ""
    own = review.findings.config.get("architecture")
    return own if isinstance(own, str) and own else review.findings.architecture


def _hop(hop: ReviewHop, evidence: Mapping[str, Any]) -> MatrixHop:
    return MatrixHop(
        gate=hop.gate,
        name=hop.name,
        state=hop.state,
        relative=hop.relative,
        max_abs=hop.max_abs,
        tolerance=hop.tolerance,
        batches=tuple(sorted({size for item in _parities(evidence) for size in _sizes(item)})),
    )


def _parities(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = evidence.get("parities")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list | tuple) else []


def _sizes(parity: Mapping[str, Any]) -> Iterable[int]:
    found = parity.get("batches")
    return [size for size in found if isinstance(size, int)] if isinstance(found, list | tuple) else []


def _passed(gates: Mapping[str, ReviewGate], name: str) -> bool | None:
    gate = gates.get(name)
    return None if gate is None or gate.state == "not run" else gate.state == "passed"


def _largest(gates: Mapping[str, ReviewGate], name: str, key: str) -> float | None:
    gate = gates.get(name)
    values = gate.evidence.get(key) if gate is not None else None
    numbers = [value for value in values.values() if _is_number(value)] if isinstance(values, dict) else []
    return float(max(numbers)) if numbers else None


def _reloaded(gate: ReviewGate | None) -> bool | None:
    """Return whether the module equals the model also after Lightning has loaded it from its checkpoint."""
    if gate is None:
        return None
    loaded = [item for item in _parities(gate.evidence) if item.get("way") == _RELOAD]
    if not loaded:
        return None
    return all(
        _is_number(item.get("relative")) and item["relative"] <= item.get("tolerance", 0.0) for item in loaded
    )


def _seconds(gate: ReviewGate | None) -> float | None:
    if gate is None or gate.state != "passed":
        return None
    seconds = gate.evidence.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
