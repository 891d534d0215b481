"""Phase 2's decision: the TAO network to follow, and how the architecture gets into TAO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from porter.errors import ModelRejectedError
from porter.records.base import Task
from porter.records.inspection import Inspection
from porter.records.reference import (
    BackboneMatch,
    Reference,
    ReferenceChoice,
    Release,
    Repo,
    Strategy,
    StrategyChoice,
)
from porter.reference.coverage import Coverage, native_coverage
from porter.reference.hold import holding
from porter.reference.model_facts import model_facts
from porter.reference.network import networks_for
from porter.reference.reader import read_reference
from porter.reference.score import score
from porter.reference.timm_models import timm_offer

AVAILABLE: tuple[Strategy, ...] = ("native", "timm", "compose")
"""The strategies that this version of porter can generate, in order of preference."""


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


def choose(
    inspection: Inspection,
    references: Sequence[Reference],
    release: Release,
    *,
    forced: Strategy | None = None,
) -> ReferenceChoice:
    """Return the closest of *references* and the strategy; pure.

    Args:
        inspection: phase 1's result, with what the sandbox saw of the model.
        references: the candidates, see :func:`read_candidates`.
        release: the clone they were read from, for the errors.
        forced: the strategy that was asked for.

    Raises:
        ModelRejectedError: porter knows no network for the task, or no strategy fits the model.
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
    strategy = choose_strategy(inspection, best, coverage[best.name], forced=forced)
    return ReferenceChoice(reference=best, candidates=tuple(candidates), strategy=strategy)


def choose_strategy(
    inspection: Inspection, reference: Reference, coverage: Coverage, *, forced: Strategy | None = None
) -> StrategyChoice:
    """Return the first strategy that fits the model and that this version has; pure.

    Args:
        inspection: phase 1's result, with what the sandbox saw of the model.
        reference: the network to follow.
        coverage: whether its backbones have the architecture.
        forced: take this one or none.

    Raises:
        ModelRejectedError: none fits, or the one that was asked for does not.
    """
    rejected: dict[str, str] = {}
    for strategy in get_args(Strategy):
        if forced is not None and strategy != forced:
            rejected[strategy] = _passed_over(
                inspection, strategy, coverage, f"--strategy {forced} was given"
            )
        elif strategy == "native" and coverage.match is not None:
            return StrategyChoice(
                strategy="native",
                reason=_native_reason(coverage.match, reference),
                rejected=_before(strategy, rejected),
                forced=forced is not None,
                backbone=coverage.match,
            )
        elif strategy == "timm":
            offer = timm_offer(inspection, reference)
            if offer.model is not None:
                return StrategyChoice(
                    strategy="timm",
                    reason=f"a generated backbone holds {offer.model.architecture} of timm",
                    rejected=_before(strategy, rejected),
                    forced=forced is not None,
                    timm=offer.model,
                )
            rejected[strategy] = "; ".join(offer.reasons)
        elif strategy == "compose":
            held = holding(inspection, reference)
            if held.model is not None:
                return StrategyChoice(
                    strategy="compose",
                    reason=f"a generated backbone holds {inspection.architecture} of transformers",
                    rejected=_before(strategy, rejected),
                    forced=forced is not None,
                    held=held.model,
                )
            rejected[strategy] = "; ".join(held.reasons)
        else:
            rejected[strategy] = _passed_over(inspection, strategy, coverage, "")
    if forced is not None:
        raise ModelRejectedError(
            f"{inspection.source.ref} cannot be ported by the strategy {forced}.",
            why=rejected[forced],
            next_step="leave --strategy out; porter then takes the first that fits",
        )
    raise ModelRejectedError(
        f"No strategy can carry {inspection.source.ref} into {reference.name}.",
        why="\n      ".join(f"{strategy}: {reason}" for strategy, reason in rejected.items()),
        next_step="choose another model for image classification",
    )


def _native_reason(match: BackboneMatch, reference: Reference) -> str:
    release = f"{reference.release.repo} {reference.release.version}"
    if match.name:
        return f"the backbone registry of {release} has the architecture as {match.name}"
    return f"{match.label} of {release} has the architecture, and the port registers it in the model's sizes"


def _before(strategy: Strategy, rejected: Mapping[str, str]) -> dict[str, str]:
    """Return why the strategies that are preferred to *strategy* were not taken."""
    order = get_args(Strategy)
    return {name: rejected[name] for name in order[: order.index(strategy)]}


def _passed_over(inspection: Inspection, strategy: Strategy, coverage: Coverage, asked: str) -> str:
    if strategy == "native":
        return "; ".join(coverage.reasons) or f"it would fit, but {asked}"
    facts = model_facts(inspection.model_type)
    fits = {} if facts is None else facts.strategies
    if strategy in AVAILABLE:
        return asked
    if strategy in fits:
        return f"{fits[strategy]}, but this version of porter does not have that strategy"
    return "this version of porter does not have that strategy"
