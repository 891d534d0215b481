"""The weight plan: what becomes of every tensor, computed from two tables and the remap rules.

Nothing here opens a model: the result is a ledger in which every source and every target tensor
stands in exactly one row, and the operations that carry it out. Whatever the rules do not account
for stands there as a ``leftover``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from porter.records.inspection import TensorInfo
from porter.records.weights import Fate, Ledger, Operation, WeightPlan
from porter.weights import fits
from porter.weights.draft import Draft, Instance
from porter.weights.remap import Binding, Fuse, RemapRules, Split, bindings, fill, resolve_prefix

HeadFate = Literal["copied", "permuted", "re-initialised"]


def plan_weights(
    source: Sequence[TensorInfo],
    target: Sequence[TensorInfo],
    rules: RemapRules,
    *,
    num_labels: int | None = None,
    label_order: Sequence[int] = (),
    new_head: str = "",
    source_grid: tuple[int, int] | None = None,
    target_grid: tuple[int, int] | None = None,
    tied: Sequence[Sequence[str]] = (),
    key_prefix: str = "model.",
    tao_model: str = "classification",
    attention: str = "",
) -> WeightPlan:
    """Return the ledger and the operations for *source* -> *target*.

    Args:
        source: tensor table of the checkpoint files.
        target: state dict of the TAO module; its order is the order of the operations.
        rules: how the names correspond.
        num_labels: classes that the TAO module must have; None where the task has no such head.
        label_order: source class of each target class, where the classes are the same in another order.
        new_head: reason to start with a new head although the sizes fit; empty to keep the source's.
        source_grid: the checkpoint's patches as (rows, columns); None means square.
        target_grid: the TAO module's, likewise.
        tied: groups of source names that share storage; a name that the files lack is read from its
            twin.
        key_prefix: what TAO's checkpoint loader strips from every key.
        tao_model: tag by which it knows the prefix.
        attention: the attention implementation that both sides run, where they run the same code.

    Raises:
        ValueError: *label_order* is not a permutation.
    """
    if label_order and sorted(label_order) != list(range(len(label_order))):
        raise ValueError("label_order is not a permutation")
    draft = Draft(source, target, tied)
    rules = resolve_prefix(rules, draft.source)
    head_fate: HeadFate = "copied"
    if rules.head:
        head_fate = _head_fate(draft, rules, label_order, new_head)
    instances = _instances(draft, rules)
    complete = [each for each in instances if each.is_complete(draft)]
    wanted = Counter(name for each in complete for name in (*each.sources, *each.targets))
    for each in complete:
        rivals = [name for name in (*each.sources, *each.targets) if wanted[name] > 1]
        if rivals:
            draft.leave(each.sources, each.targets, f"two rules claim {rivals[0]}")
        elif each.kind == "head":
            _plan_head(draft, each, rules, head_fate, num_labels, label_order, new_head)
        elif each.kind == "position":
            _plan_position(draft, each, rules, source_grid, target_grid)
        else:
            _plan_plain(draft, each)
    for each in instances:
        _leave_partial(draft, each)
    for rule in rules.ignore:
        for binding in bindings(rule.source, draft.open_sources()):
            draft.row("ignored", [fill(rule.source, binding)], (), rule.reason)
    draft.leave_rest()
    return WeightPlan(
        ledger=Ledger(rows=draft.sorted_rows()),
        operations=draft.sorted_operations(),
        head=head_fate,
        source_head=rules.head.source_module if rules.head else "",
        target_head=rules.head.target_module if rules.head else "",
        key_prefix=key_prefix,
        tao_model=tao_model,
        exact=bool(attention),
        attention=attention or "eager",
    )


def _instances(draft: Draft, rules: RemapRules) -> list[Instance]:
    found: list[Instance] = []
    if rules.head:
        for binding in _bindings(draft, [rules.head.source], [rules.head.target]):
            source, target = fill(rules.head.source, binding), fill(rules.head.target, binding)
            found.append(Instance("head", [source], [target], zeros=True))
    # A rename of every name leaves alone what the rules name by itself.
    named = {name for each in found for name in (*each.sources, *each.targets)}
    named |= {rule.source for rule in rules.ignore}
    for rename in rules.rename:
        for binding in _bindings(draft, [rename.source], [rename.target]):
            source, target = fill(rename.source, binding), fill(rename.target, binding)
            if "{name}" not in rename.source or not {source, target} & named:
                found.append(Instance("copy", [source], [target], reshape=rename.reshape))
    for fuse in rules.fuse:
        for binding in _bindings(draft, fuse.sources, [fuse.target]):
            found.append(_fuse_instance(fuse, binding))
    for split in rules.split:
        for binding in _bindings(draft, [split.source], split.targets):
            found.append(_split_instance(split, binding))
    if rules.position:
        place = rules.position
        if draft.find(place.source) or place.target in draft.target:
            found.append(Instance("position", [place.source], [place.target]))
    return found


def _bindings(draft: Draft, sources: Iterable[str], targets: Iterable[str]) -> list[Binding]:
    names = [*draft.source, *draft.tied]
    found = {each for template in sources for each in bindings(template, names)}
    found |= {each for template in targets for each in bindings(template, draft.target)}
    return sorted(found)


def _fuse_instance(fuse: Fuse, binding: Binding) -> Instance:
    sources = [fill(template, binding) for template in fuse.sources]
    zeros = bool(fuse.absent) and dict(binding).get("leaf") == fuse.absent
    return Instance("concat", sources, [fill(fuse.target, binding)], axis=fuse.axis, zeros=zeros)


def _split_instance(split: Split, binding: Binding) -> Instance:
    targets = [fill(template, binding) for template in split.targets]
    return Instance("split", [fill(split.source, binding)], targets, axis=split.axis)


def _plan_plain(draft: Draft, instance: Instance) -> None:
    sources = [found for name in instance.sources if (found := draft.find(name))]
    targets = [draft.target[name] for name in instance.targets]
    if not sources:
        draft.operations.append(Operation(op="zeros", target=targets[0]))
        reason = f"the source has no {', '.join(instance.sources)}: zero is the same function"
        draft.row("re-initialised", (), instance.targets, reason)
        return
    problem = (
        fits.concat_problem(sources, targets[0], instance.axis)
        if instance.kind == "concat"
        else fits.split_problem(sources[0], targets, instance.axis)
        if instance.kind == "split"
        else fits.copy_problem(sources[0], targets[0], reshape=instance.reshape)
    )
    if problem:
        draft.leave([each.name for each in sources], instance.targets, problem)
        return
    notes = [fits.widening(sources, targets[0])]
    notes += [
        f"{name} is stored as its tied twin {found.name}"
        for name, found in zip(instance.sources, sources, strict=True)
        if found.name != name
    ]
    fate: Fate = "renamed"
    if instance.kind == "concat":
        fate = "fused"
        operation = Operation(op="concat", target=targets[0], sources=tuple(sources), axis=instance.axis)
        draft.operations.append(operation)
        notes.insert(0, f"concatenated along axis {instance.axis}")
    elif instance.kind == "split":
        fate = "split"
        draft.operations += fits.slices(sources[0], targets, instance.axis)
        notes.insert(0, f"cut along axis {instance.axis}")
    elif sources[0].shape != targets[0].shape:
        fate = "reshaped"
        draft.operations.append(Operation(op="reshape", target=targets[0], sources=tuple(sources)))
        notes.insert(0, f"{fits.spell(sources[0].shape)} as {fits.spell(targets[0].shape)}")
    else:
        draft.operations.append(Operation(op="copy", target=targets[0], sources=tuple(sources)))
    draft.row(fate, [each.name for each in sources], instance.targets, "; ".join(filter(None, notes)))


def _leave_partial(draft: Draft, instance: Instance) -> None:
    missing = [name for name in instance.sources if draft.find(name) is None]
    absent = [name for name in instance.targets if name not in draft.target]
    reasons = [f"the source has no {', '.join(missing)}"] if missing else []
    reasons += [f"the target has no {', '.join(absent)}"] if absent else []
    draft.leave(instance.sources, instance.targets, "; ".join(reasons) or "another rule takes part of it")


def _has_head(draft: Draft, rules: RemapRules) -> bool:
    return bool(rules.head and bindings(rules.head.source, draft.source))


def _head_fate(draft: Draft, rules: RemapRules, label_order: Sequence[int], new_head: str) -> HeadFate:
    assert rules.head
    pairs = [
        (draft.find(fill(rules.head.source, each)), draft.target.get(fill(rules.head.target, each)))
        for each in _bindings(draft, [rules.head.source], [rules.head.target])
    ]
    both = [(left, right) for left, right in pairs if left and right]
    resized = any(left.shape[:1] != right.shape[:1] for left, right in both)
    if new_head or resized or not _has_head(draft, rules):
        return "re-initialised"
    return "permuted" if label_order and list(label_order) != sorted(label_order) else "copied"


def _plan_head(
    draft: Draft,
    instance: Instance,
    rules: RemapRules,
    fate: HeadFate,
    num_labels: int | None,
    label_order: Sequence[int],
    new_head: str,
) -> None:
    assert rules.head
    target = draft.target[instance.targets[0]]
    source = draft.find(instance.sources[0])
    sources = [source.name] if source else []
    if num_labels is not None and target.shape[:1] != (num_labels,):
        draft.leave(sources, instance.targets, f"the target's head is not made for {num_labels} classes")
    elif source and source.shape[1:] != target.shape[1:]:
        problem = fits.copy_problem(source, target, reshape=False)
        draft.leave(sources, instance.targets, problem)
    elif fate == "re-initialised":
        is_weight = len(target.shape) > 1
        std = rules.head.std if is_weight else 0.0
        draft.operations.append(Operation(op="initialise" if is_weight else "zeros", target=target, std=std))
        reason = new_head
        if not reason:
            reason = (
                f"{source.shape[0]} classes there, {target.shape[0]} here" if source else "it has no head"
            )
        how = f"truncated normal of std {std:g}, seeded by the name" if is_weight else "zeros"
        draft.row("re-initialised", sources, instance.targets, f"{reason}; {how}")
    elif source is None:
        draft.leave((), instance.targets, f"the source has no {instance.sources[0]}")
    elif problem := fits.copy_problem(source, target, reshape=False):
        draft.leave(sources, instance.targets, problem)
    elif fate == "permuted":
        if len(label_order) != target.shape[0]:
            count = len(label_order)
            draft.leave(sources, instance.targets, f"the class order names {count} of {target.shape[0]}")
            return
        operation = Operation(op="select", target=target, sources=(source,), index=tuple(label_order))
        draft.operations.append(operation)
        draft.row("permuted", sources, instance.targets, "classes put into the order of the dataset")
    else:
        _plan_plain(draft, Instance("copy", instance.sources, instance.targets))


def _plan_position(
    draft: Draft,
    instance: Instance,
    rules: RemapRules,
    source_grid: tuple[int, int] | None,
    target_grid: tuple[int, int] | None,
) -> None:
    assert rules.position
    place = rules.position
    source = draft.find(place.source)
    assert source
    target = draft.target[place.target]
    old = fits.grid_of(source, place.prefix_tokens, source_grid)
    new = fits.grid_of(target, place.prefix_tokens, target_grid)
    problem = (
        fits.position_problem(source, old)
        or fits.position_problem(target, new)
        or fits.dtype_problem(source, target)
    )
    if not problem and source.shape[-1] != target.shape[-1]:
        problem = f"width {source.shape[-1]} does not fit {target.shape[-1]}"
    if problem:
        draft.leave([source.name], instance.targets, problem)
    elif old == new:
        _plan_plain(draft, Instance("copy", instance.sources, instance.targets))
    else:
        assert old
        assert new
        draft.operations.append(
            Operation(
                op="interpolate",
                target=target,
                sources=(source,),
                prefix=place.prefix_tokens,
                source_grid=old,
                target_grid=new,
                antialias=place.antialias,
            )
        )
        reason = f"grid {old[0]}x{old[1]} resampled to {new[0]}x{new[1]}; {place.semantics}"
        draft.row("interpolated", [source.name], instance.targets, reason)
