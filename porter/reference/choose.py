"""Phase 2's decision: the TAO network to follow, and how the architecture gets into TAO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from porter.errors import ModelRejectedError
from porter.records.base import Task
from porter.records.inspection import Inspection
from porter.records.reference import (
    Reference,
    ReferenceChoice,
    Release,
    Repo,
    Strategy,
    StrategyChoice,
)
from porter.reference.coverage import Coverage, model_facts, native_coverage
from porter.reference.network import networks_for
from porter.reference.reader import read_reference
from porter.reference.score import score

AVAILABLE: tuple[Strategy, ...] = ("native",)
"""The strategies that this version of porter can generate, in order of preference."""


class StrategyUnavailableError(ModelRejectedError):
    """The model would need a strategy that this version does not have.

    Attributes:
        choice: the first strategy that fits, and why each before it does not.
    """

    def __init__(self, what: str, *, why: str, next_step: str, choice: StrategyChoice) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.choice = choice


def read_candidates(
    clone: Path,
    release: Release,
    task: Task,
    *,
    others: Mapping[Repo, Path] | None = None,
    commits: Mapping[Repo, str] | None = None,
) -> tuple[Reference, ...]:
    """Return every network that does *task*, as the clone has it; empty where porter knows none.

    Raises:
        WorkspaceError: the clone lacks a file or symbol of one of them.
    """
    return tuple(
        read_reference(clone, release, network.name, others=others, commits=commits)
        for network in networks_for(task, release.layout)
    )


def choose(inspection: Inspection, references: Sequence[Reference], release: Release) -> ReferenceChoice:
    """Return the closest of *references* and the strategy; pure.

    Args:
        inspection: phase 1's result.
        references: the candidates, see :func:`read_candidates`.
        release: the clone they were read from, for the errors.

    Raises:
        ModelRejectedError: porter knows no network for the task.
        StrategyUnavailableError: no strategy that this version has can carry the architecture.
    """
    task = inspection.task.task
    fitting = [reference for reference in references if reference.task == task]
    if not fitting:
        raise ModelRejectedError(
            f"porter knows no network of {release.repo} {release.version} for {task} yet.",
            why=f"{inspection.source.ref} was read as {task} ({inspection.task.reason})",
            next_step="give --task if the model does something else",
        )
    coverage = {reference.name: native_coverage(inspection, reference) for reference in fitting}
    candidates = sorted(
        (score(inspection, reference, coverage[reference.name]) for reference in fitting),
        key=lambda candidate: (-candidate.score, candidate.name),
    )
    best = next(reference for reference in fitting if reference.name == candidates[0].name)
    strategy = choose_strategy(inspection, best, coverage[best.name])
    if strategy.strategy not in AVAILABLE:
        raise _unavailable(inspection, best, strategy)
    return ReferenceChoice(reference=best, candidates=tuple(candidates), strategy=strategy)


def choose_strategy(inspection: Inspection, reference: Reference, coverage: Coverage) -> StrategyChoice:
    """Return the first strategy that fits the model, whether or not this version has it; pure."""
    release = f"{reference.release.repo} {reference.release.version}"
    if coverage.match is not None:
        return StrategyChoice(
            strategy="native",
            reason=f"the backbone registry of {release} has the architecture as {coverage.match.name}",
            backbone=coverage.match,
        )
    rejected = {"native": "; ".join(coverage.reasons)}
    facts = model_facts(inspection.model_type)
    fits = {} if facts is None else facts.strategies
    for strategy in get_args(Strategy)[1:]:
        if strategy in fits:
            return StrategyChoice(strategy=strategy, reason=fits[strategy], rejected=rejected)
        rejected[strategy] = f"porter has no facts yet on {inspection.model_type} models for it"
    return StrategyChoice(
        strategy="compose",
        reason="a class that holds the transformers model works for any architecture",
        rejected={key: reason for key, reason in rejected.items() if key != "compose"},
    )


def _unavailable(
    inspection: Inspection, reference: Reference, choice: StrategyChoice
) -> StrategyUnavailableError:
    reasons = [f"{strategy}: {reason}" for strategy, reason in choice.rejected.items()]
    reasons.append(
        f"{choice.strategy}: {choice.reason}, but that is not available yet "
        f"(this version has {', '.join(AVAILABLE)})"
    )
    return StrategyUnavailableError(
        f"{inspection.source.ref} would have to follow {reference.name} by the strategy {choice.strategy}, "
        "which this version of porter does not have.",
        why="\n      ".join(reasons),
        next_step="port a model whose architecture the backbone registry has",
        choice=choice,
    )
