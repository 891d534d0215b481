"""Mean and std: where they are stated, and that deploy code takes them from there."""

from __future__ import annotations

from typing import Any

from porter.gates.consistency.verdict import stated, train_spec, train_spec_path, unlike, verdict
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

KEYS = {"mean": "dataset.augmentation.mean", "std": "dataset.augmentation.std"}


def normalisation(facts: ConsistencyFacts) -> GateResult:
    """Hold mean and std of specs and schemas to the trainer's, and what deploy code uses to the spec."""
    own, values = train_spec_path(facts.name), train_spec(facts).values
    problems: list[str] = []
    evidence: dict[str, Any] = {}
    for key in KEYS.values():
        found = stated(facts, key)
        evidence |= found
        problems += unlike(found, values.get(key, "no value"), f"{own}: {key}")
    said = f"mean {values.get(KEYS['mean'])}, std {values.get(KEYS['std'])} in {len(evidence)} places"
    return verdict("consistency-normalisation", facts, problems, said, stated=evidence)
