"""The phases of this version, as data; `walk` goes through them in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from porter.engine import Phase
from porter.phases import choose, deploy, implement, inspect, package, prerequisites, validate
from porter.records.gates import GateResult
from porter.session import PortSession

Run = Callable[[PortSession], Iterator[GateResult]]


def _with_command(run: Run) -> Run:
    """Give each gate the command and the log of the sandboxed run that came before it."""

    def annotated(session: PortSession) -> Iterator[GateResult]:
        for gate in run(session):
            yield session.with_command(gate)

    return annotated


PHASES: tuple[Phase[PortSession], ...] = (
    Phase(0, "prerequisites", needs=(), makes=(), run=prerequisites.run),
    Phase(
        1,
        "inspect",
        needs=(),
        makes=("source", "inspection", "references", "dataset", "model-probe"),
        run=_with_command(inspect.run),
    ),
    Phase(
        2,
        "reference",
        needs=("inspection", "references"),
        makes=("choice", "confirmed"),
        run=_with_command(choose.run),
    ),
    Phase(
        3,
        "implement",
        needs=("inspection", "choice", "dataset", "model-probe"),
        makes=("file-plan", "target", "weight-plan"),
        run=_with_command(implement.run),
    ),
    Phase(
        4,
        "deploy",
        needs=("inspection", "choice", "dataset", "target"),
        makes=(),
        run=_with_command(deploy.run),
    ),
    Phase(
        5,
        "package",
        needs=("inspection", "file-plan", "target"),
        makes=(),
        run=_with_command(package.run),
    ),
    Phase(
        6,
        "validate",
        needs=("inspection", "file-plan", "target"),
        makes=(),
        run=_with_command(validate.run),
    ),
)

LAST = PHASES[-1].number
