"""Reading remap rules (``references/remap/<name>.toml``); :mod:`porter.weights.plan` applies them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from porter.errors import PorterError
from porter.records.remap import (
    Fuse,
    Head,
    HeadTwin,
    Interpolate,
    Permute,
    RemapRules,
    Rename,
    Reshape,
    Select,
    Split,
    Transpose,
)
from porter.resources import tree
from porter.weights.names import ALTERNATIVES, ANYTHING, INDICES, Names, fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Moving = Rename | Reshape | Transpose | Permute | Select | Fuse | Split | Interpolate | Head | HeadTwin
"""A rule that carries source tensors to target tensors."""


class Sides(NamedTuple):
    """A rule with its templates on both sides."""

    rule: Moving
    sources: tuple[str, ...]
    targets: tuple[str, ...]


def load_rules(name: str, folder: Path | None = None) -> RemapRules:
    """Return the rules called *name*.

    Raises:
        PorterError: there are none of that name.
        ValueError: the rules contradict themselves (a fault of the file, not of the user).
    """
    folder = folder or tree("references") / "remap"
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.toml"))) or "none"
        raise PorterError(
            f"there are no remap rules named {name!r}",
            why=f"known rules: {known}",
            next_step=f"add {path.name} to references/remap",
        )
    table = {**tomllib.loads(path.read_text(encoding="utf-8")), "name": name}
    rules = msgspec.convert(table, RemapRules, strict=True)
    check(rules)
    return rules


def resolve_prefix(rules: RemapRules, names: Iterable[str]) -> RemapRules:
    """Return *rules* with ``{prefix}`` replaced by the prefix that names most of the source tensors."""
    names = tuple(names)

    def score(prefix: str) -> int:
        resolved = _with_prefix(rules, prefix)
        matcher = Names(resolved, names)
        body = [side.sources for side in moving(resolved) if not isinstance(side.rule, (Head, HeadTwin))]
        return sum(
            any(matcher.match(each, "source", name) is not None for part in body for each in part)
            for name in names
        )

    if len(rules.prefixes) == 1:
        return _with_prefix(rules, rules.prefixes[0])
    return _with_prefix(rules, max(rules.prefixes, key=score))


def moving(rules: RemapRules) -> Iterator[Sides]:
    """Yield every rule that carries source tensors to target tensors, those of the head first."""
    if rules.head:
        yield Sides(rules.head, (rules.head.source,), (rules.head.target,))
        for twin in rules.head.twins:
            yield Sides(twin, (twin.source,), (twin.target,))
    singles: tuple[Rename | Reshape | Transpose | Permute | Select | Interpolate, ...] = (
        *rules.rename,
        *rules.reshape,
        *rules.transpose,
        *rules.permute,
        *rules.select,
        *rules.interpolate,
    )
    for single in singles:
        yield Sides(single, (single.source,), (single.target,))
    for fuse in rules.fuse:
        yield Sides(fuse, fuse.sources, (fuse.target,))
    for split in rules.split:
        yield Sides(split, (split.source,), split.targets)


def inert_reason(rules: RemapRules, name: str, names: Iterable[str]) -> str:
    """Return why the rules expect the source tensor *name* to be inert; empty where they do not."""
    names = tuple(names)
    resolved = resolve_prefix(rules, names)
    matcher = Names(resolved, names)
    for each in resolved.inert:
        if matcher.match(each.source, "source", name) is not None:
            return each.reason
    return ""


def check(rules: RemapRules) -> None:
    """Look for rules that contradict themselves.

    Raises:
        ValueError: there is one.
    """
    if not rules.prefixes or not all(re.fullmatch(r"[\w.]*", each) for each in rules.prefixes):
        raise ValueError('prefixes must be names or ""')
    _check_placeholders(rules)
    taken: dict[str, int] = {}
    for rule, left, right in moving(rules):
        if not left or not right:
            raise ValueError(f"a rule takes {left} and makes {right}")
        if len({_free(rules, each) for each in left + right}) != 1:
            raise ValueError(f"placeholders differ between {left} and {right}")
        if len(set(left)) != len(left) or len(set(right)) != len(right):
            raise ValueError(f"a name stands twice in {left} or {right}")
        for each in left:
            taken[each] = taken.get(each, 0) + 1
        _check_layout(rule)
    twice = sorted(name for name, count in taken.items() if count > 1)
    if twice:
        raise ValueError(f"two rules take {', '.join(twice)}")
    for dropped in rules.drop:
        _explained(rules, dropped.source, dropped.reason, "dropped")
    for made in rules.initialise:
        _explained(rules, made.target, made.reason, "initialised")
    for computed in rules.computed:
        _explained(rules, computed.target, computed.reason, "computed")
    for inert in rules.inert:
        _explained(rules, inert.source, inert.reason, "inert")


def _check_placeholders(rules: RemapRules) -> None:
    known = {*INDICES, *ALTERNATIVES, ANYTHING, "prefix"}
    for name in (*rules.counters, *rules.words):
        if name in known:
            raise ValueError(f"the placeholder {{{name}}} has two meanings")
        known.add(name)
    for name, counter in rules.counters.items():
        found = [field for field in fields(counter.over) if field.name != "prefix"]
        if not found or any(each.name not in INDICES or each.is_computed for each in found):
            raise ValueError(f"the counter {name} must be over plain {{i}}, {{j}} or {{k}}")
        if len({each.name for each in found}) != len(found):
            raise ValueError(f"a number stands twice in the counter {name}")
    for name, words in rules.words.items():
        if not words or len(set(words.values())) != len(words):
            raise ValueError(f"the words {name} do not lead back from the target to the source")


def _free(rules: RemapRules, template: str) -> frozenset[str]:
    """Return the placeholders that must be known to fill *template*."""
    free: set[str] = set()
    numeric = {*INDICES, *rules.counters}
    for field in fields(template):
        if field.name not in {*numeric, *ALTERNATIVES, *rules.words, ANYTHING, "prefix"}:
            raise ValueError(f"unknown placeholder {{{field.name}}} in {template}")
        if field.is_computed and (field.name not in numeric or field.factor == 0):
            raise ValueError(f"{{{field.name}}} of {template} is no number to calculate with")
        if field.name in rules.counters:
            free |= {each.name for each in fields(rules.counters[field.name].over)}
        else:
            free.add(field.name)
    return frozenset(free - {"prefix"})


def _check_layout(rule: Moving) -> None:
    if isinstance(rule, Transpose) and (rule.axes[0] == rule.axes[1] or min(rule.axes) < 0):
        raise ValueError(f"{rule.source} is transposed over {rule.axes}")
    if isinstance(rule, Permute) and sorted(rule.axes) != list(range(len(rule.axes))):
        raise ValueError(f"{rule.axes} of {rule.source} is no order of axes")
    if isinstance(rule, Select) and sorted(rule.order) != list(range(len(rule.order))):
        raise ValueError(f"{rule.order} of {rule.source} is no order of parts")
    if isinstance(rule, Fuse) and not set(rule.optional) < set(rule.sources):
        raise ValueError(f"the optional parts of {rule.target} must be some of its sources")


def _explained(rules: RemapRules, template: str, reason: str, what: str) -> None:
    _free(rules, template)
    if not reason:
        raise ValueError(f"{template} is {what} without a reason")


def _with_prefix(rules: RemapRules, prefix: str) -> RemapRules:
    text = msgspec.json.encode(rules).decode().replace("{prefix}", prefix)
    return msgspec.json.decode(text, type=RemapRules)
