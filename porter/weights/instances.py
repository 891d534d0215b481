"""Rules under one binding of their placeholders each."""

from __future__ import annotations

from collections.abc import Iterable

from porter.records.remap import Fuse, Head, HeadTwin, RemapRules, Rename, Split
from porter.weights.draft import Draft
from porter.weights.names import ANYTHING, Binding, Names, Side, fields
from porter.weights.remap import Moving, Sides, moving


class Instance:
    """A rule under one binding of its placeholders.

    Attributes:
        optional: those of *sources* that may be missing alone.
        zeros: whether the target may be made of zeros where the source has none of the sources.
    """

    def __init__(
        self,
        rule: Moving,
        sources: Iterable[str],
        targets: Iterable[str],
        *,
        optional: Iterable[str] = (),
        zeros: bool = False,
    ) -> None:
        self.rule = rule
        self.sources = tuple(sources)
        self.targets = tuple(targets)
        self.optional = frozenset(optional)
        self.zeros = zeros

    def is_complete(self, draft: Draft) -> bool:
        """Return whether every tensor that the rule names is there, or may be made of zeros."""
        if not all(name in draft.target for name in self.targets):
            return False
        missing = [name for name in self.sources if draft.find(name) is None]
        if len(missing) == len(self.sources):
            return self.zeros
        return self.optional.issuperset(missing)


def instances(draft: Draft, rules: RemapRules, names: Names) -> list[Instance]:
    """Return every rule that carries tensors, once for each binding that one of its names has.

    A rule for any name takes only what the other rules leave alone.
    """
    found: list[Instance] = []
    loose: list[Instance] = []
    for side in moving(rules):
        anything = any(field.name == ANYTHING for field in fields(side.sources[0]))
        (loose if anything else found).extend(_bound(draft, side, names))
    named = {name for each in found for name in (*each.sources, *each.targets)}
    for dropped in rules.drop:
        named |= _names(names, dropped.source, "source", draft.source)
    made = [rule.target for rule in rules.initialise] + [rule.target for rule in rules.computed]
    for template in made:
        named |= _names(names, template, "target", draft.target)
    return found + [each for each in loose if not named & {*each.sources, *each.targets}]


def _names(names: Names, template: str, side: Side, table: Iterable[str]) -> set[str]:
    return {name for name in table if names.match(template, side, name) is not None}


def _bound(draft: Draft, rule: Sides, names: Names) -> list[Instance]:
    known = [*draft.source, *draft.tied]
    bindings: set[Binding] = set()
    for template in rule.sources:
        bindings.update(names.bindings(template, "source", known))
    for template in rule.targets:
        bindings.update(names.bindings(template, "target", draft.target))
    made = (_instance(rule, binding, names) for binding in sorted(bindings))
    return [each for each in made if each is not None]


def _instance(sides: Sides, binding: Binding, names: Names) -> Instance | None:
    rule = sides.rule
    sources = [names.fill(template, binding, "source") for template in sides.sources]
    targets = [names.fill(template, binding, "target") for template in sides.targets]
    left = [name for name in sources if name is not None]
    right = [name for name in targets if name is not None]
    if len(left) < len(sources) or len(right) < len(targets):
        return None
    optional: list[str] = []
    if isinstance(rule, Fuse):
        optional = [
            name for template, name in zip(sides.sources, left, strict=True) if template in rule.optional
        ]
    zeros = isinstance(rule, (Head, HeadTwin))
    if isinstance(rule, (Rename, Fuse, Split)) and rule.absent:
        zeros = all(name.rpartition(".")[2] == rule.absent for name in right)
    return Instance(rule, left, right, optional=optional, zeros=zeros)
