"""The ledger, the weight plan and parity."""

from __future__ import annotations

from typing import Literal

from porter.records.base import Record
from porter.records.inspection import TensorInfo

Fate = Literal[
    "renamed", "reshaped", "fused", "split", "interpolated", "re-initialised", "ignored", "leftover"
]


class LedgerRow(Record, frozen=True, kw_only=True):
    """What became of one or more source tensors, or of a target tensor that has no source.

    ``leftover`` rows leave the ledger open and fail the port.

    Attributes:
        sources: source tensor names, in the order in which they are used.
        targets: target tensor names.
        reason: why, for everything that is not a plain rename.
        inert: the measured effect on the output where parity cannot see a swap; None otherwise.
    """

    fate: Fate
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    reason: str = ""
    inert: float | None = None


class Ledger(Record, frozen=True, kw_only=True):
    """The table of all source and target tensors."""

    rows: tuple[LedgerRow, ...]

    @property
    def leftovers(self) -> tuple[LedgerRow, ...]:
        """Rows that nobody accounts for; empty when the ledger is closed."""
        return tuple(row for row in self.rows if row.fate == "leftover")


class Operation(Record, frozen=True, kw_only=True):
    """One step of the conversion, executed in the sandbox.

    Attributes:
        op: ``copy`` (one source), ``concat`` (sources along axis), ``slice`` (start:stop of axis),
            ``reshape`` (to target shape) or ``interpolate`` (position embedding, grid to grid,
            after *prefix* leading tokens).
        target: target tensor and its shape, dtype.
        sources: source tensors with the file that holds each.
    """

    op: Literal["copy", "concat", "slice", "reshape", "interpolate"]
    target: TensorInfo
    sources: tuple[TensorInfo, ...]
    axis: int = 0
    start: int = 0
    stop: int = 0
    prefix: int = 0


class WeightPlan(Record, frozen=True, kw_only=True):
    """A closed ledger and the operations that carry it out.

    Attributes:
        key_prefix: what the checkpoint's loader strips from every key (``model.``).
        tao_model: tag in the checkpoint that tells the loader which prefix to strip.
    """

    ledger: Ledger
    operations: tuple[Operation, ...]
    key_prefix: str
    tao_model: str


class Parity(Record, frozen=True, kw_only=True):
    """The measured difference between two forms of the model on the same inputs.

    Attributes:
        hop: such as ``hf -> tao`` or ``tao -> onnx``.
        relative: the largest ``|a-b| / |a|`` (L2) over the inputs.
        max_abs: the largest absolute difference.
        reference_max: the largest absolute value of the first form (scale of max_abs).
        tolerance: bound on *relative*.
    """

    hop: str
    output: str
    relative: float
    max_abs: float
    reference_max: float
    tolerance: float
    inputs: int
    batches: tuple[int, ...] = (1,)

    @property
    def within(self) -> bool:
        """Whether the relative error is a number within the tolerance."""
        return self.relative <= self.tolerance


class SwapCheck(Record, frozen=True, kw_only=True):
    """Whether parity would see two tensors of one shape exchanged."""

    first: str
    second: str
    relative: float
    caught: bool
