"""Whether tensors fit together, judged by shape and dtype alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from porter.records.inspection import TensorInfo
from porter.records.weights import Operation

_WIDER = {
    "F32": frozenset({"BF16", "F16"}),
    "F64": frozenset({"BF16", "F16", "F32"}),
}
"""Dtypes that each dtype can hold exactly."""


def spell(shape: Sequence[int]) -> str:
    """Return a shape as ``2x3``; ``scalar`` for none."""
    return "x".join(str(size) for size in shape) or "scalar"


def dtype_problem(source: TensorInfo, target: TensorInfo) -> str:
    """Return why values of *source* cannot be held exactly by *target*; empty where they can."""
    if source.dtype == target.dtype or source.dtype in _WIDER.get(target.dtype, frozenset()):
        return ""
    return f"{source.name} is {source.dtype}, which {target.dtype} of {target.name} cannot hold exactly"


def widening(sources: Sequence[TensorInfo], target: TensorInfo) -> str:
    """Return the note on a dtype that changes; empty where none does."""
    narrow = sorted({each.dtype for each in sources} - {target.dtype})
    return f"{', '.join(narrow)} widened to {target.dtype}, exactly" if narrow else ""


def copy_problem(source: TensorInfo, target: TensorInfo, *, reshape: bool) -> str:
    """Return why *source* cannot become *target* as it is; empty where it can."""
    same = math.prod(source.shape) == math.prod(target.shape) if reshape else source.shape == target.shape
    if not same:
        return _shapes(source, target)
    return dtype_problem(source, target)


def permute_problem(source: TensorInfo, target: TensorInfo, axes: Sequence[int]) -> str:
    """Return why *source* with its axes in the order *axes* is not *target*; empty where it is."""
    if len(axes) != len(source.shape):
        return f"{source.name} of {spell(source.shape)} has not {len(axes)} axes"
    if tuple(source.shape[axis] for axis in axes) != target.shape:
        return _shapes(source, target)
    return dtype_problem(source, target)


def select_problem(source: TensorInfo, target: TensorInfo, axis: int, parts: int) -> str:
    """Return why *source* cannot be cut into equal *parts* along *axis*; empty where it can."""
    if len(source.shape) <= axis or source.shape[axis] % parts:
        return f"{source.name} of {spell(source.shape)} does not make {parts} parts along axis {axis}"
    return copy_problem(source, target, reshape=False)


def concat_problem(sources: Sequence[TensorInfo], target: TensorInfo, axis: int, size: int = 0) -> str:
    """Return why *sources* along *axis* do not make *target*; empty where they do.

    Args:
        sources: the parts.
        target: what they make.
        axis: along which they lie.
        size: what each part must have along the axis where some are missing; 0 where none is.
    """
    if any(len(each.shape) <= axis for each in (*sources, target)):
        return f"axis {axis} is missing in {_shapes(sources[0], target)}"
    for each in sources:
        if _without(each.shape, axis) != _without(target.shape, axis):
            return _shapes(each, target)
        if size and each.shape[axis] != size:
            return (
                f"{each.name} is {each.shape[axis]} along axis {axis}, its share of {target.name} is {size}"
            )
        if problem := dtype_problem(each, target):
            return problem
    total = sum(each.shape[axis] for each in sources)
    if not size and total != target.shape[axis]:
        return f"{len(sources)} parts make {total} along axis {axis}, {target.name} has {target.shape[axis]}"
    return ""


def split_problem(source: TensorInfo, targets: Sequence[TensorInfo], axis: int) -> str:
    """Return why *source* cannot be cut into *targets* along *axis*; empty where it can."""
    if any(len(each.shape) <= axis for each in (source, *targets)):
        return f"axis {axis} is missing in {_shapes(source, targets[0])}"
    for each in targets:
        if _without(each.shape, axis) != _without(source.shape, axis):
            return _shapes(source, each)
        if problem := dtype_problem(source, each):
            return problem
    total = sum(each.shape[axis] for each in targets)
    if total != source.shape[axis]:
        return f"{len(targets)} parts take {total} along axis {axis}, {source.name} has {source.shape[axis]}"
    return ""


def slices(source: TensorInfo, targets: Sequence[TensorInfo], axis: int) -> list[Operation]:
    """Return the cuts of *source* into *targets*, in their order."""
    cuts, start = [], 0
    for target in targets:
        stop = start + target.shape[axis]
        cuts.append(
            Operation(op="slice", target=target, sources=(source,), axis=axis, start=start, stop=stop)
        )
        start = stop
    return cuts


def grid_of(position: TensorInfo, prefix_tokens: int) -> tuple[int, int] | None:
    """Return the patches (rows, columns) of a square position embedding; None for any other.

    48 patches could be 6x8 or 4x12.
    """
    if len(position.shape) not in {2, 3} or (len(position.shape) == 3 and position.shape[0] != 1):
        return None
    patches = position.shape[-2] - prefix_tokens
    side = math.isqrt(max(patches, 0))
    return (side, side) if patches > 0 and side * side == patches else None


def position_problem(position: TensorInfo, grid: tuple[int, int] | None) -> str:
    """Return why a position embedding cannot be laid out as *grid*; empty where it can."""
    if grid is None:
        return f"{position.name} of {spell(position.shape)} does not fit the patch grid"
    return ""


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _shapes(source: TensorInfo, target: TensorInfo) -> str:
    return f"{source.name} of {spell(source.shape)} does not fit {target.name} of {spell(target.shape)}"
