"""Phase 2: the TAO model to follow, and how the architecture gets into it."""

from __future__ import annotations

from collections.abc import Iterator

from porter.errors import ModelRejectedError, UsageError
from porter.gates.results import passed
from porter.records.gates import GateResult
from porter.records.reference import ReferenceChoice
from porter.session import PortSession


def run(session: PortSession) -> Iterator[GateResult]:
    """Score the references, choose the strategy, and have both confirmed."""
    from porter.reference.choose import choose
    from porter.reference.dataservices import read_coverage

    inspection, references = session.inspection, session.references
    choice = session.journal.step(
        "choice",
        {"inspection": inspection, "references": references},
        ReferenceChoice,
        lambda: choose(inspection, references, references[0].release),
    )
    reference = choice.reference
    absent = [file.path for file in reference.files if not file.present]
    coverage = read_coverage(session.dataservices, inspection.task.task)
    yield passed(
        "reference",
        f"{reference.name} of {reference.release.repo} {reference.release.version}: "
        f"{len(reference.files) - len(absent)} files, {len(reference.backbones)} backbones, "
        f"{len(reference.hooks)} hooks; {coverage.reason}",
        hooks=list(reference.hooks),
        candidates={item.name: {"score": item.score, "reasons": item.reasons} for item in choice.candidates},
        absent=absent,
        networks=len(reference.networks),
        converters=list(coverage.converters),
    )
    strategy = choice.strategy
    match = strategy.backbone
    if match is None:
        raise ModelRejectedError("The strategy names no backbone.", why=strategy.reason)
    yield passed(
        "strategy",
        f"{strategy.strategy}: {match.name}; {strategy.reason}",
        rejected=strategy.rejected,
        arguments=match.arguments,
        differences=list(match.differences),
    )
    _confirm(session, choice)


def _confirm(session: PortSession, choice: ReferenceChoice) -> None:
    options, inspection = session.options, session.inspection
    match = choice.strategy.backbone
    session.ui.info(
        f"  name       {options.name}\n"
        f"  task       {inspection.task.task} ({inspection.task.reason})\n"
        f"  reference  {choice.reference.name}\n"
        f"  strategy   {choice.strategy.strategy}: {match.name if match else '-'}"
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
