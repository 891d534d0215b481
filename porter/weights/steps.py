"""The operations that a rule with all its tensors asks for."""

from __future__ import annotations

from typing import NamedTuple

from porter.records.inspection import TensorInfo
from porter.records.remap import Fuse, Interpolate, Permute, Reshape, Select, Split, Transpose
from porter.records.weights import Fate, Operation
from porter.weights import fits
from porter.weights.draft import Draft
from porter.weights.instances import Instance


class Step(NamedTuple):
    """What a rule does: the fate of its tensors, the operations, and how; or why it cannot."""

    fate: Fate = "leftover"
    operations: tuple[Operation, ...] = ()
    note: str = ""
    problem: str = ""


def plan_moved(draft: Draft, instance: Instance, *, reshape: bool = False) -> None:
    """Add the row and the operations of a complete *instance*, or its tensors as a leftover."""
    sources = [found for name in instance.sources if (found := draft.find(name))]
    targets = [draft.target[name] for name in instance.targets]
    if not sources:
        draft.operations += [Operation(op="zeros", target=each) for each in targets]
        reason = f"the source has no {', '.join(instance.sources)}: zero is the same function"
        draft.row("initialised", (), instance.targets, reason)
        return
    rule = instance.rule
    if isinstance(rule, Fuse):
        step = _fuse(draft, instance, rule.axis)
    elif isinstance(rule, Split):
        step = _split(sources[0], targets, rule.axis)
    elif isinstance(rule, (Transpose, Permute)):
        step = _permute(sources[0], targets[0], rule)
    elif isinstance(rule, Select):
        step = _select(sources[0], targets[0], rule)
    elif isinstance(rule, Interpolate):
        step = _interpolate(sources[0], targets[0], rule)
    else:
        step = _copy(sources[0], targets[0], reshape=reshape or isinstance(rule, Reshape))
    if step.problem:
        draft.leave([each.name for each in sources], instance.targets, step.problem)
        return
    draft.operations += step.operations
    there = [name for name in instance.sources if draft.find(name)]
    notes = [step.note, fits.widening(sources, targets[0])]
    notes += [
        f"{name} is stored as its tied twin {found.name}"
        for name, found in zip(there, sources, strict=True)
        if found.name != name
    ]
    draft.row(step.fate, [each.name for each in sources], instance.targets, "; ".join(filter(None, notes)))


def _copy(source: TensorInfo, target: TensorInfo, *, reshape: bool) -> Step:
    if problem := fits.copy_problem(source, target, reshape=reshape):
        return Step(problem=problem)
    if source.shape != target.shape:
        note = f"{fits.spell(source.shape)} as {fits.spell(target.shape)}"
        return Step("reshaped", (Operation(op="reshape", target=target, sources=(source,)),), note)
    fate: Fate = "kept" if source.name == target.name else "renamed"
    return Step(fate, (Operation(op="copy", target=target, sources=(source,)),))


def _permute(source: TensorInfo, target: TensorInfo, rule: Transpose | Permute) -> Step:
    fate: Fate = "permuted"
    if isinstance(rule, Permute):
        axes = rule.axes
        note = f"axes in the order {', '.join(str(axis) for axis in axes)}"
    else:
        one, other = rule.axes
        swapped = {one: other, other: one}
        axes = tuple(swapped.get(axis, axis) for axis in range(max(len(source.shape), one + 1, other + 1)))
        fate, note = "transposed", f"axes {one} and {other} exchanged"
    if problem := fits.permute_problem(source, target, axes):
        return Step(problem=problem)
    made = Operation(op="permute", target=target, sources=(source,), axes=axes)
    return Step(fate, (made,), note)


def _select(source: TensorInfo, target: TensorInfo, rule: Select) -> Step:
    if problem := fits.select_problem(source, target, rule.axis, len(rule.order)):
        return Step(problem=problem)
    made = Operation(op="select", target=target, sources=(source,), axis=rule.axis, index=rule.order)
    order = ", ".join(str(part) for part in rule.order)
    return Step("permuted", (made,), f"{len(rule.order)} parts along axis {rule.axis} in the order {order}")


def _fuse(draft: Draft, instance: Instance, axis: int) -> Step:
    target = draft.target[instance.targets[0]]
    parts = [draft.find(name) for name in instance.sources]
    sources = [part for part in parts if part is not None]
    note = f"concatenated along axis {axis}"
    if len(sources) == len(parts):
        if problem := fits.concat_problem(sources, target, axis):
            return Step(problem=problem)
        return Step(
            "fused", (Operation(op="concat", target=target, sources=tuple(sources), axis=axis),), note
        )
    room = target.shape[axis] if len(target.shape) > axis else 0
    if not room or room % len(parts):
        return Step(problem=f"{target.name} of {fits.spell(target.shape)} has no {len(parts)} equal shares")
    share = room // len(parts)
    if problem := fits.concat_problem(sources, target, axis, share):
        return Step(problem=problem)
    starts = tuple(place * share for place, part in enumerate(parts) if part is not None)
    made = Operation(op="concat", target=target, sources=tuple(sources), axis=axis, starts=starts)
    gone = [name for name, part in zip(instance.sources, parts, strict=True) if part is None]
    return Step("fused", (made,), f"{note}; zeros in the place of {', '.join(gone)}, which the source lacks")


def _split(source: TensorInfo, targets: list[TensorInfo], axis: int) -> Step:
    if problem := fits.split_problem(source, targets, axis):
        return Step(problem=problem)
    return Step("split", tuple(fits.slices(source, targets, axis)), f"cut along axis {axis}")


def _interpolate(source: TensorInfo, target: TensorInfo, rule: Interpolate) -> Step:
    old = fits.grid_of(source, rule.prefix_tokens)
    new = fits.grid_of(target, rule.prefix_tokens)
    problem = (
        fits.position_problem(source, old)
        or fits.position_problem(target, new)
        or fits.dtype_problem(source, target)
    )
    if not problem and source.shape[-1] != target.shape[-1]:
        problem = f"width {source.shape[-1]} does not fit {target.shape[-1]}"
    if problem:
        return Step(problem=problem)
    if old == new:
        return _copy(source, target, reshape=True)
    assert old
    assert new
    made = Operation(
        op="interpolate",
        target=target,
        sources=(source,),
        prefix=rule.prefix_tokens,
        source_grid=old,
        target_grid=new,
        antialias=rule.antialias,
    )
    note = f"grid {old[0]}x{old[1]} resampled to {new[0]}x{new[1]}; {rule.semantics}"
    return Step("interpolated", (made,), note)
