"""Phase 2's decision: the TAO network to follow, and how the architecture gets into TAO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from porter.errors import ModelRejectedError
from porter.records.base import Record, Task
from porter.records.finder import Finding
from porter.records.inspection import Inspection
from porter.records.reference import (
    BackboneMatch,
    Candidate,
    Reference,
    ReferenceChoice,
    Release,
    Repo,
    Strategy,
    StrategyChoice,
)
from porter.records.transplant import Lifting
from porter.reference import timm_models
from porter.reference.coverage import Coverage, native_coverage
from porter.reference.hold import holding
from porter.reference.network import networks_for
from porter.reference.reader import read_reference
from porter.reference.score import score

AVAILABLE: tuple[Strategy, ...] = ("native", "timm", "transplant", "compose")
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
    lifting: Lifting | None = None,
    finding: Finding | None = None,
) -> ReferenceChoice:
    """Return the closest of *references* and the strategy; pure.

    Args:
        inspection: phase 1's result, with what the sandbox saw of the model.
        references: the candidates, see :func:`read_candidates`.
        release: the clone they were read from, for the errors.
        forced: the strategy that was asked for.
        lifting: what came of lifting the model's source, where :func:`wants_lifting` asked for it.
        finding: what the rule finder made of the model, where :func:`wants_finding` asked for it.

    Raises:
        ModelRejectedError: porter knows no network for the task, or no strategy fits the model.
    """
    best, coverage, candidates = _closest(inspection, references, release)
    case = Case(inspection=inspection, reference=best, coverage=coverage, lifting=lifting, finding=finding)
    return ReferenceChoice(
        reference=best, candidates=candidates, strategy=choose_strategy(case, forced=forced)
    )


def wants_lifting(
    inspection: Inspection,
    references: Sequence[Reference],
    release: Release,
    *,
    forced: Strategy | None = None,
    finding: Finding | None = None,
) -> bool:
    """Return whether the choice depends on what comes of lifting the model's source; pure.

    Args and errors are those of :func:`choose`.
    """
    if forced is not None:
        return forced == "transplant"
    best, coverage, _ = _closest(inspection, references, release)
    case = Case(inspection=inspection, reference=best, coverage=coverage, finding=finding)
    return not any(isinstance(OFFERS[name](case), StrategyChoice) for name in _preferred_to("transplant"))


def wants_finding(
    inspection: Inspection,
    references: Sequence[Reference],
    release: Release,
    *,
    forced: Strategy | None = None,
) -> bool:
    """Return whether the choice depends on what the rule finder makes of the model; pure.

    Args and errors are those of :func:`choose`.
    """
    if forced not in (None, "timm"):
        return False
    best, coverage, _ = _closest(inspection, references, release)
    case = Case(inspection=inspection, reference=best, coverage=coverage)
    is_native = forced is None and isinstance(_native(case), StrategyChoice)
    return not is_native and timm_models.wants_finding(inspection, best)


def _closest(
    inspection: Inspection, references: Sequence[Reference], release: Release
) -> tuple[Reference, Coverage, tuple[Candidate, ...]]:
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
    return best, coverage[best.name], tuple(candidates)


def choose_strategy(case: Case, *, forced: Strategy | None = None) -> StrategyChoice:
    """Return the first strategy that fits the model and that this version has; pure.

    Args:
        case: the model and the network to follow.
        forced: take this one or none.

    Raises:
        ModelRejectedError: none fits, or the one that was asked for does not.
    """
    rejected: dict[str, str] = {}
    for strategy, offer_of in OFFERS.items():
        offer = offer_of(case)
        if isinstance(offer, StrategyChoice):
            if forced in (None, strategy):
                before = {name: rejected[name] for name in _preferred_to(strategy)}
                return msgspec.structs.replace(offer, rejected=before, forced=forced is not None)
            offer = (f"it would fit, but --strategy {forced} was given",)
        rejected[strategy] = "; ".join(offer)
    if forced is not None:
        raise ModelRejectedError(
            f"{case.inspection.source.ref} cannot be ported by the strategy {forced}.",
            why=rejected[forced],
            next_step="leave --strategy out; porter then takes the first that fits",
        )
    raise ModelRejectedError(
        f"No strategy can carry {case.inspection.source.ref} into {case.reference.name}.",
        why="\n      ".join(f"{strategy}: {reason}" for strategy, reason in rejected.items()),
        next_step=f"choose another model for {case.reference.task.replace('-', ' ')}",
    )


def _preferred_to(strategy: Strategy) -> list[Strategy]:
    order = list(OFFERS)
    return order[: order.index(strategy)]


class Case(Record, frozen=True, kw_only=True):
    """What the strategies are asked about.

    Attributes:
        coverage: whether the reference's backbones have the architecture.
        lifting: what came of lifting the model's source; None where nobody tried.
        finding: what the rule finder made of it; None where nobody asked.
    """

    inspection: Inspection
    reference: Reference
    coverage: Coverage
    lifting: Lifting | None = None
    finding: Finding | None = None


Offer = StrategyChoice | tuple[str, ...]
"""What a strategy would do, or the reasons why it cannot."""


def _native(case: Case) -> Offer:
    if case.coverage.match is None:
        return case.coverage.reasons
    match = case.coverage.match
    return StrategyChoice(strategy="native", reason=_native_reason(match, case.reference), backbone=match)


def _native_reason(match: BackboneMatch, reference: Reference) -> str:
    release = f"{reference.release.repo} {reference.release.version}"
    if match.own:
        sizes = f"as {match.name}" if match.name else "and the port builds it in the model's sizes"
        return f"{reference.name} of {release} has the architecture {match.target.partition(':')[2]} {sizes}"
    if match.name:
        return f"the backbone registry of {release} has the architecture as {match.name}"
    return f"{match.label} of {release} has the architecture, and the port registers it in the model's sizes"


def _timm(case: Case) -> Offer:
    offer = timm_models.timm_offer(case.inspection, case.reference, case.finding)
    if offer.model is None:
        return offer.reasons
    return StrategyChoice(
        strategy="timm",
        reason=f"a generated backbone holds {offer.model.architecture} of timm",
        timm=offer.model,
    )


def _transplant(case: Case) -> Offer:
    lifting = case.lifting
    if lifting is None:
        return ("the source of the model was not lifted",)
    if lifting.lifted is None:
        return lifting.reasons
    held = holding(case.inspection, case.reference, lifting)
    if held.model is None:
        return held.reasons
    lifted = lifting.lifted
    tweaks = "".join(f"; {tweak.text}" for tweak in lifted.tweaks)
    return StrategyChoice(
        strategy="transplant",
        reason=f"{lifted.architecture} of transformers {lifted.transformers} was lifted into one file of "
        f"{len(lifted.text.splitlines())} lines that needs torch alone{tweaks}",
        held=held.model,
        lifted=lifted,
    )


def _compose(case: Case) -> Offer:
    held = holding(case.inspection, case.reference)
    if held.model is None:
        return held.reasons
    return StrategyChoice(
        strategy="compose",
        reason=f"a generated backbone holds {case.inspection.architecture} of transformers",
        held=held.model,
    )


OFFERS: Mapping[Strategy, Callable[[Case], Offer]] = {
    "native": _native,
    "timm": _timm,
    "transplant": _transplant,
    "compose": _compose,
}
"""The strategies in order of preference, and what each answers for a model."""
