"""Remap rules from single operations, such that the rules make exactly those operations again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from porter.records.finder import Attempt
from porter.records.remap import (
    Computed,
    Counter,
    Drop,
    Fuse,
    Head,
    HeadTwin,
    Inert,
    Initialise,
    Interpolate,
    Permute,
    RemapRules,
    Rename,
    Reshape,
    Split,
)
from porter.records.weights import Operation
from porter.weights.names import ALTERNATIVES
from porter.weights.patterns import Pattern, Patterns, skeleton
from porter.weights.plan import plan_weights
from porter.weights.remap import check

_STD = 0.02
_SEMANTICS = (
    "timm resample_abs_pos_embed: bicubic, antialias, float32 (transformers: bicubic without antialias)"
)


class Kind(NamedTuple):
    """What rules must share besides their templates: the operation and its settings."""

    op: str
    axis: int = 0
    axes: tuple[int, ...] = ()
    sources: int = 1
    starts: tuple[int, ...] = ()


class Group(NamedTuple):
    """Templates under one kind: sources, then targets."""

    kind: Kind
    templates: tuple[str, ...]


def generalise(attempt: Attempt, prefix: str) -> RemapRules:
    """Return the rules of an attempt.

    Args:
        attempt: a complete one.
        prefix: what the source's class puts before the names of its body (``vit``).

    Raises:
        ValueError: the rules do not make the attempt's operations again; a bug.
    """
    rules = _rules(attempt, prefix)
    if not reproduces(rules, attempt):
        rules = _rules(attempt, "", literal=True)
        if not reproduces(rules, attempt):
            raise ValueError(f"the rules for {attempt.architecture} do not make its operations again")
    return rules


def reproduces(rules: RemapRules, attempt: Attempt) -> bool:
    """Return whether *rules* make exactly the operations of *attempt* and leave nothing over."""
    try:
        check(rules)
    except ValueError:
        return False
    plan = plan_weights(attempt.source, attempt.target, rules)
    made = {each.target.name: each for each in plan.operations}
    wanted = {each.operation.target.name: each.operation for each in attempt.operations}
    return (
        not plan.ledger.leftovers
        and made == wanted
        and {each.name for each in plan.dropped} == {each.name for each in attempt.dropped}
        and {each.name for each in plan.computed} == set(attempt.computed)
    )


def _rules(attempt: Attempt, prefix: str, *, literal: bool = False) -> RemapRules:
    source = [each.name for each in attempt.source]
    target = [each.name for each in attempt.target]
    counters: dict[str, Counter] = {}
    head = _head(attempt)
    in_head = {f"{module}." for _, module in attempt.heads} if head else set()
    operations = [
        each.operation
        for each in attempt.operations
        if not any(each.operation.target.name.startswith(start) for start in in_head)
    ]
    position = _position(operations)
    if position is not None:
        operations = [each for each in operations if each.target.name != position.target]
    zeros = [each.target.name for each in operations if each.op == "zeros"]
    instances = _instances([each for each in operations if each.op != "zeros"])
    groups: list[Group] = []
    for kind, rows in instances.items():
        finder = Patterns(source, target, kind.sources, counters)
        for same in _by_skeleton(rows).values():
            found = [Pattern(row, {}, (row,)) for row in same] if literal else finder.find(same)
            groups += [Group(kind, each.templates) for each in found]
    if not literal:
        groups = _merge_leaves(groups)
    groups, lacking = _with_absent(groups, zeros, literal=literal)
    made = _written(groups, lacking)
    alone = Patterns(source, target, 1, counters)
    drop = tuple(
        Drop(source=template, reason=reason)
        for reason, names in _by_reason((each.name, each.reason) for each in attempt.dropped).items()
        for template in _single(alone, names, literal=literal)
    )
    loose = Patterns(source, target, 1, counters, exact=False)
    held = {each.source: _plain(each.held) for each in attempt.influences if each.inert}
    for pair in attempt.exchanges:
        for name in (pair.first, pair.second):
            held.setdefault(name, "the values where it is used hold it")
    inert = tuple(
        Inert(source=template, reason=f"the output does not show it, but {reason}")
        for reason, names in _by_reason(held.items()).items()
        for template in _single(loose, names, literal=literal)
    )
    rules = RemapRules(
        source=f"transformers, found against {attempt.architecture}",
        target=attempt.architecture,
        counters=counters,
        drop=drop,
        computed=tuple(
            Computed(target=name, reason="its class computes it, and no tensor of the source is like it")
            for name in attempt.computed
        ),
        inert=inert,
        head=head,
        interpolate=(position,) if position else (),
    )
    rules = msgspec.structs.replace(rules, **made)
    return rules if literal else _with_prefix(rules, prefix, source)


def _instances(operations: Sequence[Operation]) -> dict[Kind, list[tuple[str, ...]]]:
    """Return the names of every operation by its kind; the cuts of one tensor are one instance."""
    found: dict[Kind, list[tuple[str, ...]]] = {}
    cuts: dict[str, list[Operation]] = {}
    for each in operations:
        names = tuple(part.name for part in each.sources)
        if each.op == "slice":
            cuts.setdefault(names[0], []).append(each)
            continue
        starts = each.starts
        if starts:
            # The share of each part says which parts are missing, whatever the width.
            share = each.sources[0].shape[each.axis]
            starts = (each.target.shape[each.axis] // share, *(start // share for start in starts))
        kind = Kind(each.op, each.axis, each.axes, len(names), starts)
        found.setdefault(kind, []).append((*names, each.target.name))
    for name, parts in cuts.items():
        parts.sort(key=lambda each: each.start)
        row = (name, *(part.target.name for part in parts))
        found.setdefault(Kind("slice", parts[0].axis), []).append(row)
    return found


def _by_skeleton(rows: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for row in rows:
        found.setdefault(tuple(skeleton(name) for name in row), []).append(row)
    return found


def _merge_leaves(groups: Sequence[Group]) -> list[Group]:
    """Join groups that differ in the last part of their names alone, where that part has a placeholder."""
    bodies: dict[tuple[Kind, tuple[str, ...]], list[str]] = {}
    others: list[Group] = []
    for group in groups:
        leaves = {template.rpartition(".")[2] for template in group.templates}
        body = tuple(template.rpartition(".")[0] for template in group.templates)
        if len(leaves) == 1 and all(body):
            bodies.setdefault((group.kind, body), []).extend(leaves)
        else:
            others.append(group)
    merged = []
    for (kind, body), found in bodies.items():
        rest = set(found)
        for name in ("stat", "leaf"):
            if rest.issuperset(ALTERNATIVES[name]):
                rest -= set(ALTERNATIVES[name])
                merged.append(Group(kind, tuple(f"{each}.{{{name}}}" for each in body)))
        merged += [Group(kind, tuple(f"{each}.{leaf}" for each in body)) for leaf in found if leaf in rest]
    return merged + others


def _with_absent(
    groups: Sequence[Group], zeros: Sequence[str], *, literal: bool
) -> tuple[list[Group], dict[Group, str]]:
    """Return the groups, and which of them stand for biases that the source lacks, by the missing leaf.

    A weight whose bias is made of zeros becomes one rule for both.
    """
    lacking: dict[Group, str] = {}
    kept = list(groups)
    for name in zeros:
        module, _, leaf = name.rpartition(".")
        for place, group in enumerate(kept):
            target = group.templates[-1]
            body = target.rpartition(".")[0]
            if skeleton(_numbered(body)) != skeleton(module) or group.kind.op == "slice":
                continue
            ends = [each.rpartition(".")[2] for each in group.templates]
            if set(ends) == {"weight"} and leaf == "bias":
                whole = Group(group.kind, tuple(f"{t.rpartition('.')[0]}.{{leaf}}" for t in group.templates))
                kept[place] = whole
                lacking[whole] = leaf
                break
            if group in lacking:
                break
        else:
            kept.append(Group(Kind("zeros"), (name,)))
    return kept, lacking


def _written(groups: Sequence[Group], lacking: Mapping[Group, str]) -> dict[str, tuple[object, ...]]:
    """Return the rule tables of the groups."""
    made: dict[str, list[object]] = {}
    fused = {each.templates[:-1]: each for each in groups if each.kind.op == "concat"}
    for each in groups:
        sources, targets = each.templates[: each.kind.sources], each.templates[each.kind.sources :]
        absent = lacking.get(each, "")
        if each.kind.op == "zeros":
            reason = "the source has no such bias: zero is the same function"
            rule: object = Initialise(target=each.templates[0], value="zeros", reason=reason)
            made.setdefault("initialise", []).append(rule)
        elif each.kind.op == "copy":
            made.setdefault("rename", []).append(Rename(source=sources[0], target=targets[0], absent=absent))
        elif each.kind.op == "reshape":
            made.setdefault("reshape", []).append(Reshape(source=sources[0], target=targets[0]))
        elif each.kind.op == "permute":
            rule = Permute(source=sources[0], target=targets[0], axes=each.kind.axes)
            made.setdefault("permute", []).append(rule)
        elif each.kind.op == "slice":
            made.setdefault("split", []).append(
                Split(source=sources[0], targets=targets, axis=each.kind.axis)
            )
        elif each.kind.starts:
            made.setdefault("fuse", []).append(_fuse_with_gaps(each, fused))
        else:
            rule = Fuse(sources=sources, target=targets[0], axis=each.kind.axis, absent=absent)
            made.setdefault("fuse", []).append(rule)
    return {name: tuple(rules) for name, rules in made.items()}


def _fuse_with_gaps(group: Group, fused: Mapping[tuple[str, ...], Group]) -> Fuse:
    """Return the rule of a concatenation with zeros in the place of parts that the source lacks.

    The missing parts are called as the parts of the weight that the same target module has.
    """
    count, *places = group.kind.starts
    target = group.templates[-1]
    leaf = target.rpartition(".")[2]
    body = target.rpartition(".")[0]
    whole = next((each.templates for each in fused.values() if each.templates[-1].startswith(f"{body}.")), ())
    named = [f"{each.rpartition('.')[0]}.{leaf}" for each in whole[:-1]]
    if len(named) != count:
        named = [f"missing_{place}_of_{target}" for place in range(count)]
    for place, source in zip(places, group.templates[:-1], strict=True):
        named[place] = source
    optional = tuple(each for place, each in enumerate(named) if place not in places)
    return Fuse(sources=tuple(named), target=target, axis=group.kind.axis, optional=optional)


def _head(attempt: Attempt) -> Head | None:
    """Return the rule of the layers that make the logits; None where they are not plain linear layers."""
    if not attempt.heads:
        return None
    by_target = {each.operation.target.name: each.operation for each in attempt.operations}
    reshaped = False
    for source, target in attempt.heads:
        own = [each for name, each in by_target.items() if name.rpartition(".")[0] == target]
        if any(each.op not in {"copy", "reshape"} for each in own):
            return None
        if any(each.sources[0].name.rpartition(".")[0] != source for each in own):
            return None
        reshaped |= any(each.op == "reshape" for each in own)
    (source, target), *more = attempt.heads
    return Head(
        source=f"{source}.{{leaf}}",
        target=f"{target}.{{leaf}}",
        source_module=source,
        target_module=target,
        std=_STD,
        reshape=reshaped,
        twins=tuple(HeadTwin(source=f"{one}.{{leaf}}", target=f"{two}.{{leaf}}") for one, two in more),
    )


def _position(operations: Sequence[Operation]) -> Interpolate | None:
    """Return the rule of the absolute position embedding, where timm has it under its usual name."""
    for each in operations:
        if each.target.name == "pos_embed" and each.op == "copy" and len(each.target.shape) == 3:
            tokens = each.target.shape[1]
            return Interpolate(
                source=each.sources[0].name,
                target=each.target.name,
                prefix_tokens=tokens - math.isqrt(tokens) ** 2,
                antialias=True,
                semantics=_SEMANTICS,
            )
    return None


def _single(finder: Patterns, names: Sequence[str], *, literal: bool) -> list[str]:
    """Return templates of names on one side."""
    if literal:
        return list(names)
    rows = _by_skeleton([(name,) for name in names]).values()
    return [pattern.templates[0] for same in rows for pattern in finder.find(same)]


def _by_reason(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in pairs:
        found.setdefault(reason, []).append(name)
    return found


def _plain(reason: str) -> str:
    """Return a reason without the name of one layer, so that it is one for all."""
    before, said, name = reason.partition(" that reads ")
    return f"{before}{said}its {name.rpartition('.')[2]}" if said else reason


def _numbered(template: str) -> str:
    """Return a template with a number for each of its placeholders, for its skeleton."""
    text = ""
    depth = 0
    for letter in template:
        depth += letter == "{"
        if not depth:
            text += letter
        if letter == "}":
            depth -= 1
            text += "0"
    return text


def _with_prefix(rules: RemapRules, prefix: str, source: Sequence[str]) -> RemapRules:
    """Return the rules with the name of the source's body as a prefix that may be missing."""
    start = f"{prefix}."
    if not prefix or not any(name.startswith(start) for name in source):
        return rules
    text = msgspec.json.encode(rules).decode()
    for key in ("source", "over"):
        text = text.replace(f'"{key}":"{start}', f'"{key}":"{{prefix}}')
    moved = msgspec.json.decode(text, type=RemapRules)
    fuse = tuple(
        msgspec.structs.replace(
            each,
            sources=tuple(_moved(name, start) for name in each.sources),
            optional=tuple(_moved(name, start) for name in each.optional),
        )
        for each in moved.fuse
    )
    return msgspec.structs.replace(moved, prefixes=(start, ""), fuse=fuse)


def _moved(template: str, start: str) -> str:
    return f"{{prefix}}{template.removeprefix(start)}" if template.startswith(start) else template
