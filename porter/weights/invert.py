"""The way back: from the tensors of the TAO module to those of the source, bit for bit."""

from __future__ import annotations

from collections import defaultdict

from porter.records.base import Record
from porter.records.inspection import TensorInfo
from porter.records.weights import LedgerRow, Operation, WeightPlan

REVERSIBLE = frozenset({"kept", "renamed", "reshaped", "fused", "split", "transposed", "permuted"})
"""Fates that lose nothing."""


class Inverse(Record, frozen=True, kw_only=True):
    """What leads back.

    Attributes:
        operations: one for each source tensor that can be had again, by its name; they read target
            tensors.
        lost: rows whose source tensors cannot be had again: interpolated, dropped, or replaced by
            something that was initialised.
    """

    operations: tuple[Operation, ...]
    lost: tuple[LedgerRow, ...]

    @property
    def lost_names(self) -> tuple[str, ...]:
        """Names of the source tensors that cannot be had again."""
        return tuple(sorted(name for row in self.lost for name in row.sources))


def invert(plan: WeightPlan, file: str = "") -> Inverse:
    """Return the operations that make the source tensors from the target tensors.

    A source that was widened becomes as narrow as it was, which is exact for the values that it had.

    Args:
        plan: a plan whose ledger is closed.
        file: the file that holds the target tensors, relative to the folder that is converted back.
    """
    readers: dict[str, list[Operation]] = defaultdict(list)
    infos: dict[str, TensorInfo] = {}
    for step in plan.operations:
        for part in step.sources:
            readers[part.name].append(step)
            infos[part.name] = part
    made: list[Operation] = []
    for name in sorted(readers):
        back = _back(infos[name], readers[name], file)
        made += [back] if back else []
    names = {each.target.name for each in made}
    lost = tuple(
        row for row in plan.ledger.rows if row.sources and any(name not in names for name in row.sources)
    )
    return Inverse(operations=tuple(made), lost=lost)


def _back(source: TensorInfo, steps: list[Operation], file: str) -> Operation | None:
    """Return the operation that makes *source* again from what *steps* made of it."""
    target = TensorInfo(name=source.name, shape=source.shape, dtype=source.dtype, buffer=source.buffer)
    cuts = sorted((step for step in steps if step.op == "slice"), key=lambda step: step.start)
    if cuts and len(cuts) == len(steps):
        return _joined(target, cuts, file)
    # A tied tensor fills several targets; each of them has all of it.
    step = next((each for each in steps if each.op != "slice"), steps[0])
    held = (_held(step.target, file),)
    if step.op in {"copy", "reshape"}:
        return Operation(op=step.op, target=target, sources=held)
    if step.op == "permute":
        axes = tuple(sorted(range(len(step.axes)), key=lambda axis: step.axes[axis]))
        return Operation(op="permute", target=target, sources=held, axes=axes)
    if step.op == "select":
        index = tuple(sorted(range(len(step.index)), key=lambda place: step.index[place]))
        return Operation(op="select", target=target, sources=held, axis=step.axis, index=index)
    if step.op == "concat":
        start = _start(step, source.name)
        stop = start + source.shape[step.axis]
        return Operation(op="slice", target=target, sources=held, axis=step.axis, start=start, stop=stop)
    return None


def _joined(target: TensorInfo, cuts: list[Operation], file: str) -> Operation | None:
    """Return the parts put together again; None where they leave a gap."""
    axis = cuts[0].axis
    ends = [0, *(step.stop for step in cuts)]
    whole = ends[-1] == target.shape[axis] and all(
        step.start == end and step.axis == axis for step, end in zip(cuts, ends, strict=False)
    )
    if not whole:
        return None
    parts = tuple(_held(step.target, file) for step in cuts)
    return Operation(op="concat", target=target, sources=parts, axis=axis)


def _start(step: Operation, name: str) -> int:
    """Return where the source *name* begins along the axis of a ``concat``."""
    place = [part.name for part in step.sources].index(name)
    if step.starts:
        return step.starts[place]
    return sum(part.shape[step.axis] for part in step.sources[:place])


def _held(target: TensorInfo, file: str) -> TensorInfo:
    return TensorInfo(name=target.name, shape=target.shape, dtype=target.dtype, file=file)
