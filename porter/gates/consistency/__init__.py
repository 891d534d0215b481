"""The checklist that spans phases and repositories: one gate per item, all decided on one record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from porter.gates.consistency.classes import class_order
from porter.gates.consistency.gather import gather_facts
from porter.gates.consistency.modules import own_modules
from porter.gates.consistency.names import checkpoint, onnx_names
from porter.gates.consistency.normalisation import normalisation
from porter.gates.consistency.packages import init_files, params_mapping
from porter.gates.consistency.schema import same_schemas
from porter.gates.consistency.specs import batch, image_size, onnx_file, spec_keys
from porter.records.consistency import ConsistencyFacts
from porter.records.gates import GateResult

if TYPE_CHECKING:
    from porter.session import PortSession

ITEMS: tuple[Callable[[ConsistencyFacts], GateResult], ...] = (
    spec_keys,
    same_schemas,
    checkpoint,
    normalisation,
    onnx_names,
    image_size,
    batch,
    onnx_file,
    params_mapping,
    class_order,
    own_modules,
    init_files,
)
"""The items in the order of the catalogue."""


def consistency_gates(session: PortSession) -> Iterator[GateResult]:
    """Look at both repositories once and decide every item."""
    yield from decide(gather_facts(session))


def decide(facts: ConsistencyFacts) -> Iterator[GateResult]:
    """Decide every item; pure."""
    for item in ITEMS:
        yield item(facts)
