"""Phase 2: the TAO model to follow, and how the architecture gets into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from porter.errors import UsageError
from porter.gates.results import passed
from porter.records.finder import Finding
from porter.records.gates import GateResult
from porter.records.inspection import ModelProbe
from porter.records.reference import ReferenceChoice, StrategyChoice
from porter.session import PortSession


def run(session: PortSession) -> Iterator[GateResult]:
    """Score the references, choose the strategy, and have both confirmed."""
    from porter.phases.finding import finding
    from porter.phases.lifting import lifting
    from porter.reference.choose import choose, wants_finding, wants_lifting
    from porter.reference.dataservices import read_coverage

    references, forced = session.references, session.options.strategy
    # The head, the layers and the export of the model are what the sandbox saw of it.
    inspection = msgspec.structs.replace(
        session.inspection, probe=session.journal.made("model-probe", ModelProbe)
    )
    release = references[0].release
    found = lifted = None
    if wants_finding(inspection, references, release, forced=forced):
        found = finding(session, inspection)
    if wants_lifting(inspection, references, release, forced=forced, finding=found):
        lifted = lifting(session, inspection)
    choice = session.journal.step(
        "choice",
        {
            "inspection": inspection,
            "references": references,
            "strategy": forced,
            "lifting": lifted,
            "finding": found,
        },
        ReferenceChoice,
        lambda: choose(inspection, references, release, forced=forced, lifting=lifted, finding=found),
    )
    reference = choice.reference
    absent = [file.path for file in reference.files if not file.present]
    coverage = read_coverage(session.tao.dataservices, inspection.task.task)
    yield passed(
        "reference",
        f"{reference.name} of {reference.release.repo} {reference.release.version}: "
        f"{len(reference.files) - len(absent)} files, "
        + (f"{len(reference.backbones)} backbones, " if reference.backbones else "")
        + f"{len(reference.hooks)} hooks; {coverage.reason}",
        hooks=list(reference.hooks),
        candidates={item.name: {"score": item.score, "reasons": item.reasons} for item in choice.candidates},
        absent=absent,
        networks=len(reference.networks),
        converters=list(coverage.converters),
    )
    strategy = choice.strategy
    yield passed(
        "strategy",
        f"{_named(strategy)}; {strategy.reason}",
        rejected=strategy.rejected,
        **_evidence(strategy),
        **_searched(found),
    )
    _confirm(session, choice)


def _named(strategy: StrategyChoice) -> str:
    """Return the strategy with the backbone or the class that it is about."""
    if strategy.held is not None:
        return f"{strategy.strategy}: {strategy.held.architecture}"
    if strategy.timm is not None:
        return f"{strategy.strategy}: {strategy.timm.architecture}"
    return f"{strategy.strategy}: {strategy.backbone.label if strategy.backbone else '-'}"


def _evidence(strategy: StrategyChoice) -> dict[str, Any]:
    if strategy.held is not None:
        held, lifted = strategy.held, strategy.lifted
        more: dict[str, Any] = {}
        if lifted is not None:
            more = {
                "lifted from": list(lifted.origins),
                "copyright": list(lifted.copyrights),
                "lines": len(lifted.text.splitlines()),
                "rewritten": {tweak.name: tweak.places for tweak in lifted.tweaks},
            }
        return {
            **more,
            "attention": held.attention,
            "heads": list(held.heads),
            "embed_dim": held.embed_dim,
            "stages": list(held.stages),
            "feature_maps": held.maps or "none",
        }
    if strategy.timm is not None:
        model = strategy.timm
        return {
            "arguments": model.arguments,
            "heads": list(model.heads),
            "embed_dim": model.embed_dim,
            "stages": list(model.stages),
            "feature_maps": model.maps,
            "differences": list(model.differences),
        }
    match = strategy.backbone
    if match is None:
        return {}
    return {"arguments": {**match.arguments, **match.code}, "differences": list(match.differences)}


def _searched(found: Finding | None) -> dict[str, Any]:
    """Return what the rule finder proposed and measured, whatever was chosen."""
    from porter.weights.finder import evidence

    return {"rule finder": evidence(found)} if found else {}


def _confirm(session: PortSession, choice: ReferenceChoice) -> None:
    options, inspection = session.options, session.inspection
    passed_over = "".join(
        f"\n             not {name}: {why}" for name, why in choice.strategy.rejected.items()
    )
    session.ui.info(
        f"  name       {options.name}\n"
        f"  task       {inspection.task.task} ({inspection.task.reason})\n"
        f"  reference  {choice.reference.name}\n"
        f"  strategy   {_named(choice.strategy)}{passed_over}"
    )

    def agree() -> bool:
        if not session.ui.confirm("Generate the port like this?"):
            raise UsageError(
                "The port was not confirmed; nothing was written into the clones.",
                next_step=f"edit {session.workspace.options_file}, then "
                f"porter resume {session.workspace.root}",
            )
        return True

    session.journal.step("confirmed", {"choice": choice, "name": options.name}, bool, agree)
