"""The phases of this version, as data; `walk` goes through them in this order."""

from __future__ import annotations

from porter.engine import Phase
from porter.phases import choose, implement, inspect, prerequisites
from porter.session import PortSession

PHASES: tuple[Phase[PortSession], ...] = (
    Phase(0, "prerequisites", needs=(), makes=(), run=prerequisites.run),
    Phase(
        1,
        "inspect",
        needs=(),
        makes=("source", "inspection", "references", "dataset", "model-probe"),
        run=inspect.run,
    ),
    Phase(2, "reference", needs=("inspection", "references"), makes=("choice", "confirmed"), run=choose.run),
    Phase(
        3,
        "implement",
        needs=("inspection", "choice", "dataset", "model-probe"),
        makes=("file-plan", "target", "weight-plan"),
        run=implement.run,
    ),
)

LAST = PHASES[-1].number
