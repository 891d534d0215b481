"""How close a reference is to what the model needs, with the reasons."""

from __future__ import annotations

from porter.records.inspection import Inspection
from porter.records.reference import Candidate, Reference
from porter.reference.coverage import Coverage
from porter.reference.network import load_network

_TASK = 40
_BACKBONE = 30
_FILES = 20
_HOOKS = 10


def score(inspection: Inspection, reference: Reference, coverage: Coverage) -> Candidate:
    """Return *reference* with its score from 0 to 100; pure."""
    network = load_network(reference.name, reference.release.layout)
    total = 0
    reasons = []

    if reference.task == inspection.task.task:
        total += _TASK
        reasons.append(f"it does {reference.task}")
    else:
        reasons.append(f"it does {reference.task}, not {inspection.task.task}")

    names = len(reference.backbones)
    if coverage.match is not None and coverage.match.own:
        total += _BACKBONE
        reasons.append(f"it has the model's architecture itself: {coverage.match.label}")
    elif coverage.match is not None:
        total += _BACKBONE
        reasons.append(
            f"its backbone registry ({names} names) has the model's architecture: {coverage.match.label}"
        )
    else:
        reasons.append(f"its backbone registry ({names} names) does not have the model's architecture")

    present = sum(file.present for file in reference.files)
    total += _FILES * present // max(1, len(reference.files))
    absent = sorted({file.role for file in reference.files if not file.present})
    missing = f"; absent: {', '.join(absent)}" if absent else ""
    reasons.append(f"{present} of its {len(reference.files)} files are at hand{missing}")

    wanted = (*network.hooks.required, *network.hooks.optional)
    total += _HOOKS * len(reference.hooks) // max(1, len(wanted))
    reasons.append(f"{len(reference.hooks)} of {len(wanted)} hooks for generated code are in place")
    return Candidate(name=reference.name, score=total, reasons=tuple(reasons))
