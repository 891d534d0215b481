"""The weight plan: what becomes of every tensor, computed from two tables and the remap rules.

Nothing here opens a model: the result is a ledger in which every source and every target tensor
stands in exactly one row, and the operations that carry it out. Whatever the rules do not account
for stands there as a ``leftover``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from porter.records.base import Record
from porter.records.inspection import TensorInfo
from porter.records.remap import Computed, Head, HeadTwin, Initialise, RemapRules
from porter.records.weights import Ledger, Operation, WeightPlan
from porter.weights.draft import Draft
from porter.weights.heads import HeadChoice, head_fate, plan_head
from porter.weights.hints import with_hints
from porter.weights.instances import Instance, instances
from porter.weights.names import Names
from porter.weights.remap import resolve_prefix
from porter.weights.steps import plan_moved


class LoaderTag(Record, frozen=True, kw_only=True):
    """How TAO's checkpoint loader knows a file.

    Attributes:
        key_prefix: what it strips from every key.
        tao_model: tag by which it knows the prefix.
    """

    key_prefix: str = "model."
    tao_model: str = "classification"


CLASSIFIER = LoaderTag()
"""The tag that most classifiers have."""


def plan_weights(
    source: Sequence[TensorInfo],
    target: Sequence[TensorInfo],
    rules: RemapRules,
    *,
    num_labels: int | None = None,
    label_order: Sequence[int] = (),
    tied: Sequence[Sequence[str]] = (),
    loader: LoaderTag = CLASSIFIER,
    attention: str = "",
) -> WeightPlan:
    """Return the ledger and the operations for *source* -> *target*.

    Args:
        source: tensor table of the checkpoint files.
        target: state dict of the TAO module; its order is the order of the operations.
        rules: how the names correspond.
        num_labels: classes that the TAO module must have; None where the task has no such head.
        label_order: source class of each target class, where the classes are the same in another order.
        tied: groups of source names that share storage; a name that the files lack is read from its
            twin.
        loader: how TAO's checkpoint loader knows the file.
        attention: the attention implementation that both sides run, where they run the same code.

    Raises:
        ValueError: *label_order* is not a permutation.
    """
    if label_order and sorted(label_order) != list(range(len(label_order))):
        raise ValueError("label_order is not a permutation")
    draft = Draft(source, target, tied)
    rules = resolve_prefix(rules, draft.source)
    names = Names(rules, [*draft.source, *draft.tied], draft.target)
    found = instances(draft, rules, names)
    fate = head_fate(draft, found, rules, label_order)
    choice = HeadChoice(fate=fate, num_labels=num_labels, label_order=tuple(label_order))
    complete = [each for each in found if each.is_complete(draft)]
    made = _made(draft, rules, names)
    taken = Counter(name for each in complete for name in each.sources)
    wanted = Counter([*made, *(name for each in complete for name in each.targets)])
    for each in complete:
        rivals = [name for name in each.sources if taken[name] > 1]
        rivals += [name for name in each.targets if wanted[name] > 1]
        if rivals:
            draft.leave(each.sources, each.targets, f"two rules claim {rivals[0]}")
        elif isinstance(each.rule, (Head, HeadTwin)):
            plan_head(draft, each, rules, choice)
        else:
            plan_moved(draft, each)
    computed = _plan_made(draft, rules, names, wanted)
    for each in found:
        _leave_partial(draft, each)
    dropped, zeros = _plan_dropped(draft, rules, names)
    draft.leave_rest()
    return WeightPlan(
        ledger=with_hints(Ledger(rows=draft.sorted_rows()), source, target),
        operations=draft.sorted_operations(),
        computed=computed,
        dropped=dropped,
        zeros=zeros,
        head=fate,
        source_head=rules.head.source_module if rules.head else "",
        target_head=rules.head.target_module if rules.head else "",
        source_twins=_twins(rules, "source"),
        target_twins=_twins(rules, "target"),
        key_prefix=loader.key_prefix,
        tao_model=loader.tao_model,
        exact=bool(attention),
        attention=attention or "eager",
    )


def _twins(rules: RemapRules, side: Literal["source", "target"]) -> tuple[str, ...]:
    """Return the modules of the heads beside the first."""
    twins = rules.head.twins if rules.head else ()
    if side == "source":
        return tuple(twin.source_module or twin.source.rpartition(".")[0] for twin in twins)
    return tuple(twin.target.rpartition(".")[0] for twin in twins)


def _matching(names: Names, template: str, table: Sequence[str]) -> list[str]:
    return [name for name in table if names.match(template, "target", name) is not None]


def _made(draft: Draft, rules: RemapRules, names: Names) -> list[str]:
    """Return the targets that rules without a source make, as often as they do."""
    templates = [rule.target for rule in rules.initialise] + [rule.target for rule in rules.computed]
    return [name for template in templates for name in _matching(names, template, [*draft.target])]


def _plan_made(draft: Draft, rules: RemapRules, names: Names, wanted: Counter[str]) -> tuple[TensorInfo, ...]:
    """Add the rows of the targets that have no source; return those that their class computes."""
    computed = []
    without_source: tuple[Initialise | Computed, ...] = (*rules.initialise, *rules.computed)
    for rule in without_source:
        for name in _matching(names, rule.target, [*draft.target]):
            if name in draft.done_targets:
                continue
            target = draft.target[name]
            if wanted[name] > 1:
                draft.leave((), [name], f"two rules claim {name}")
            elif isinstance(rule, Initialise):
                op = "initialise" if rule.value == "normal" else rule.value
                std = rule.std if rule.value == "normal" else 0.0
                draft.operations.append(Operation(op=op, target=target, std=std))
                how = f"truncated normal of std {std:g}, seeded by the name" if std else rule.value
                draft.row("initialised", (), [name], f"{rule.reason}; {how}")
            else:
                computed.append(target)
                draft.row("initialised", (), [name], f"computed by its class: {rule.reason}")
    return tuple(computed)


def _plan_dropped(
    draft: Draft, rules: RemapRules, names: Names
) -> tuple[tuple[TensorInfo, ...], tuple[str, ...]]:
    """Add the rows of the sources that nothing needs; return them, and those that must be zero for that."""
    dropped, zeros = [], []
    for rule in rules.drop:
        for name in draft.open_sources():
            if names.match(rule.source, "source", name) is None:
                continue
            dropped.append(draft.source[name])
            zeros += [name] if rule.zeros else []
            draft.row("dropped", [name], (), rule.reason)
    return tuple(sorted(dropped, key=lambda each: each.name)), tuple(sorted(zeros))


def _leave_partial(draft: Draft, instance: Instance) -> None:
    missing = [
        name for name in instance.sources if draft.find(name) is None and name not in instance.optional
    ]
    absent = [name for name in instance.targets if name not in draft.target]
    reasons = [f"the source has no {', '.join(missing)}"] if missing else []
    reasons += [f"the target has no {', '.join(absent)}"] if absent else []
    draft.leave(instance.sources, instance.targets, "; ".join(reasons) or "another rule takes part of it")
