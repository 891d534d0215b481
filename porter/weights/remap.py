"""Remap rules: how the tensors of one architecture are called, and laid out, in another.

Rules are data (``references/remap/<name>.toml``); :mod:`porter.weights.plan` applies them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from porter.errors import PorterError
from porter.records.base import Record
from porter.resources import tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PLACEHOLDERS = {"i": r"0|[1-9]\d*", "j": r"0|[1-9]\d*", "leaf": "weight|bias", "name": ".+"}
_FIELD = re.compile(r"\{([a-z]+)\}")

Binding = tuple[tuple[str, str], ...]
"""Values of a template's placeholders, sorted by placeholder."""


class Rename(Record, frozen=True, kw_only=True):
    """One source tensor becomes one target tensor, its elements in the same order."""

    source: str
    target: str
    reshape: bool = False


class Fuse(Record, frozen=True, kw_only=True):
    """Several source tensors are concatenated along *axis*, in the order of *sources*.

    Attributes:
        absent: leaf that is filled with zeros where the source has none of the parts, because a
            missing bias and a zero bias are the same function; empty: never.
    """

    sources: tuple[str, ...]
    target: str
    axis: int = 0
    absent: str = ""


class Split(Record, frozen=True, kw_only=True):
    """One source tensor is cut into equal parts along *axis*, in the order of *targets*."""

    source: str
    targets: tuple[str, ...]
    axis: int = 0


class Ignore(Record, frozen=True, kw_only=True):
    """A source tensor that the target has no use for, and why."""

    source: str
    reason: str


class Head(Record, frozen=True, kw_only=True):
    """The classification head, which is new where the number of classes differs.

    Attributes:
        std: of the truncated normal that fills a new head's weight; its bias is zero.
    """

    source: str
    target: str
    source_module: str
    target_module: str
    std: float


class Position(Record, frozen=True, kw_only=True):
    """The absolute position embedding, (1, prefix_tokens + rows * columns, width)."""

    source: str
    target: str
    prefix_tokens: int
    antialias: bool
    semantics: str


class Inert(Record, frozen=True, kw_only=True):
    """A source tensor whose exchange parity may be unable to see, and why."""

    source: str
    reason: str


class RemapRules(Record, frozen=True, kw_only=True):
    """All rules from one architecture to another.

    Attributes:
        prefixes: what may stand before the body's names; the one that most tensors have is taken.
    """

    source: str
    target: str
    prefixes: tuple[str, ...] = ("",)
    rename: tuple[Rename, ...] = ()
    fuse: tuple[Fuse, ...] = ()
    split: tuple[Split, ...] = ()
    ignore: tuple[Ignore, ...] = ()
    head: Head | None = None
    position: Position | None = None
    inert: tuple[Inert, ...] = ()


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
    rules = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), RemapRules, strict=True)
    _check(rules)
    return rules


def resolve_prefix(rules: RemapRules, names: Iterable[str]) -> RemapRules:
    """Return *rules* with ``{prefix}`` replaced by the prefix that names most of the source tensors."""
    names = tuple(names)

    def score(prefix: str) -> int:
        patterns = [pattern(template) for template in _body_templates(_with_prefix(rules, prefix))]
        return sum(any(each.fullmatch(name) for each in patterns) for name in names)

    best = max(rules.prefixes, key=score)
    return _with_prefix(rules, best)


def pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of the names that *template* stands for; its groups are the placeholders."""
    text, end = "", 0
    for field in _FIELD.finditer(template):
        text += re.escape(template[end : field.start()])
        text += f"(?P<{field[1]}>{_PLACEHOLDERS[field[1]]})"
        end = field.end()
    return re.compile(text + re.escape(template[end:]))


def fill(template: str, binding: Binding) -> str:
    """Return the name that *template* stands for under *binding*."""
    return template.format(**dict(binding))


def bindings(template: str, names: Iterable[str]) -> list[Binding]:
    """Return the placeholder values of every name that *template* stands for."""
    compiled = pattern(template)
    found = (compiled.fullmatch(name) for name in names)
    return [tuple(sorted(match.groupdict().items())) for match in found if match]


def inert_reason(rules: RemapRules, name: str, names: Iterable[str]) -> str:
    """Return why the rules expect the source tensor *name* to be inert; empty where they do not."""
    for each in resolve_prefix(rules, names).inert:
        if pattern(each.source).fullmatch(name):
            return each.reason
    return ""


def _with_prefix(rules: RemapRules, prefix: str) -> RemapRules:
    text = msgspec.json.encode(rules).decode().replace("{prefix}", prefix)
    return msgspec.json.decode(text, type=RemapRules)


def _body_templates(rules: RemapRules) -> list[str]:
    templates = [rule.source for rule in rules.rename]
    templates += [source for fuse in rules.fuse for source in fuse.sources]
    templates += [split.source for split in rules.split]
    templates += [rules.position.source] if rules.position else []
    return templates


def _check(rules: RemapRules) -> None:
    sides: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    sides += [((each.source,), (each.target,)) for each in rules.rename]
    sides += [(each.sources, (each.target,)) for each in rules.fuse]
    sides += [((each.source,), each.targets) for each in rules.split]
    sides += [((rules.head.source,), (rules.head.target,))] if rules.head else []
    sides += [((rules.position.source,), (rules.position.target,))] if rules.position else []
    sources: dict[str, int] = {}
    for left, right in sides:
        fields = {frozenset(_fields(each)) for each in left + right}
        if len(fields) != 1:
            raise ValueError(f"placeholders differ between {left} and {right}")
        if len(set(left)) != len(left) or len(set(right)) != len(right):
            raise ValueError(f"a name stands twice in {left} or {right}")
        for each in left:
            sources[each] = sources.get(each, 0) + 1
    twice = sorted(name for name, count in sources.items() if count > 1)
    if twice:
        raise ValueError(f"two rules take {', '.join(twice)}")
    for ignored in rules.ignore:
        if not ignored.reason:
            raise ValueError(f"{ignored.source} is ignored without a reason")
        _fields(ignored.source)
    if not rules.prefixes or not all(re.fullmatch(r"[\w.]*", each) for each in rules.prefixes):
        raise ValueError('prefixes must be names or ""')


def _fields(template: str) -> set[str]:
    fields = set(_FIELD.findall(template)) - {"prefix"}
    unknown = fields - set(_PLACEHOLDERS)
    if unknown:
        raise ValueError(f"unknown placeholder {{{min(unknown)}}} in {template}")
    return fields
