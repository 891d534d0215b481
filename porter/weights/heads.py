"""What becomes of a classification head: the source's own, in another class order, or new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from porter.records.base import Record
from porter.records.remap import Head, HeadTwin, RemapRules
from porter.records.weights import Ledger, Operation, WeightPlan
from porter.weights import fits
from porter.weights.draft import Draft
from porter.weights.instances import Instance
from porter.weights.steps import plan_moved

HeadFate = Literal["copied", "permuted", "re-initialised"]


class HeadChoice(Record, frozen=True, kw_only=True):
    """What the port asks of the head; see :func:`porter.weights.plan.plan_weights`."""

    fate: HeadFate = "copied"
    num_labels: int | None = None
    label_order: tuple[int, ...] = ()


def head_fate(
    draft: Draft, found: Sequence[Instance], rules: RemapRules, label_order: Sequence[int]
) -> HeadFate:
    """Return what becomes of the head; all its tensors share one fate."""
    if not rules.head:
        return "copied"
    heads = [each for each in found if isinstance(each.rule, Head)]
    has_head = any(draft.find(each.sources[0]) for each in heads)
    pairs = [
        (left, draft.target[each.targets[0]])
        for each in found
        if isinstance(each.rule, (Head, HeadTwin))
        and (left := draft.find(each.sources[0]))
        and each.targets[0] in draft.target
    ]
    if not has_head or any(left.shape[:1] != right.shape[:1] for left, right in pairs):
        return "re-initialised"
    return "permuted" if label_order and list(label_order) != sorted(label_order) else "copied"


def begun_anew(plan: WeightPlan, new: Sequence[str], reason: str) -> WeightPlan:
    """Return the plan with the rows that read nothing but *new* told as what they are: begun by porter."""
    rows = tuple(
        msgspec.structs.replace(row, fate="initialised", reason=reason)
        if row.targets and row.sources and set(row.sources) <= set(new)
        else row
        for row in plan.ledger.rows
    )
    return msgspec.structs.replace(plan, ledger=Ledger(rows=rows))


def plan_head(draft: Draft, instance: Instance, rules: RemapRules, choice: HeadChoice) -> None:
    """Add the row and the operation of one tensor of a head."""
    assert rules.head
    target = draft.target[instance.targets[0]]
    source = draft.find(instance.sources[0])
    sources = [source.name] if source else []
    tail = None if rules.head.reshape or source is None else source.shape[1:]
    if choice.num_labels is not None and target.shape[:1] != (choice.num_labels,):
        problem = f"the target's head is not made for {choice.num_labels} classes"
        draft.leave(sources, instance.targets, problem)
    elif source and tail is not None and tail != target.shape[1:]:
        draft.leave(sources, instance.targets, fits.copy_problem(source, target, reshape=False))
    elif choice.fate == "re-initialised":
        is_weight = len(target.shape) > 1
        std = rules.head.std if is_weight else 0.0
        draft.operations.append(Operation(op="initialise" if is_weight else "zeros", target=target, std=std))
        reason = f"{source.shape[0]} classes there, {target.shape[0]} here" if source else "it has no head"
        how = f"truncated normal of std {std:g}, seeded by the name" if is_weight else "zeros"
        draft.row("initialised", sources, instance.targets, f"{reason}; {how}")
    elif source is None:
        draft.leave((), instance.targets, f"the source has no {instance.sources[0]}")
    elif choice.fate == "permuted":
        _plan_order(draft, instance, choice.label_order)
    else:
        plan_moved(draft, instance, reshape=rules.head.reshape)


def _plan_order(draft: Draft, instance: Instance, order: tuple[int, ...]) -> None:
    target = draft.target[instance.targets[0]]
    source = draft.find(instance.sources[0])
    assert source
    problem = fits.copy_problem(source, target, reshape=False)
    if not problem and len(order) != target.shape[0]:
        problem = f"the class order names {len(order)} of {target.shape[0]}"
    if problem:
        draft.leave([source.name], instance.targets, problem)
        return
    draft.operations.append(Operation(op="select", target=target, sources=(source,), index=order))
    draft.row("permuted", [source.name], instance.targets, "classes put into the order of the dataset")
