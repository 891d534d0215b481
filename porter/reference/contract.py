"""The API contract: names and signatures of a TAO release that generated code relies on.

``python -m porter.reference.contract CLONE`` extracts it from a tao-pytorch clone; the result is
committed under ``references/contract`` and holds facts only, no source text. What every network shares stands
with image classification; each other network has a file of its own.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from porter.errors import PorterError, UsageError
from porter.records.base import Record, Task, from_json, to_json
from porter.records.reference import BackboneEntry, Layout, Release, Repo
from porter.reference.config import read_config_class
from porter.reference.facts import assigned_attributes, bases, methods
from porter.reference.modules import Module, Sources, Symbol
from porter.reference.network import config_root, load_network, network_names
from porter.reference.registry import read_registry
from porter.reference.release import read_release
from porter.reference.source import Snapshot
from porter.resources import tree

_REPO: Repo = "tao-pytorch"
_COMMON_TASK: Task = "image-classification"
_METHOD_KINDS = {"classmethod", "staticmethod", "property"}


class Parameter(Record, frozen=True, kw_only=True):
    """A parameter; its default as Python spells it, None where it has none."""

    name: str
    kind: Literal["positional", "keyword", "*", "**"]
    default: str | None = None


class CallFacts(Record, frozen=True, kw_only=True):
    """A function or method; ``self`` and ``cls`` are left out."""

    kind: Literal["function", "method", "classmethod", "staticmethod", "property"]
    parameters: tuple[Parameter, ...]


class Field(Record, frozen=True, kw_only=True):
    """A config field."""

    name: str
    type: str
    helper: str
    value: Any
    default_value: Any
    options: tuple[str, ...] = ()


class SymbolFacts(Record, frozen=True, kw_only=True):
    """What a symbol is; the parts that do not apply to its kind are empty."""

    kind: Literal["function", "class", "value"]
    call: CallFacts | None = None
    bases: tuple[str, ...] = ()
    methods: dict[str, CallFacts] = {}
    attributes: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()


class Contract(Record, frozen=True, kw_only=True):
    """All symbols by ``package.module:Name``, and the backbones that the registry must hold."""

    repo: Repo
    version: str
    layout: Layout
    symbols: dict[str, SymbolFacts]
    backbones: tuple[BackboneEntry, ...]


class Difference(Record, frozen=True, kw_only=True):
    """One thing in which a clone departs from a contract.

    Attributes:
        symbol: ``package.module:Name``, with ``.method`` or ``.field`` where it is about one.
        detail: what the contract has and what the clone has, for people.
    """

    symbol: str
    kind: Literal["missing", "changed", "added"]
    detail: str = ""


class _Wanted(Record, frozen=True, kw_only=True):
    symbols: tuple[str, ...]
    backbones: tuple[str, ...]


def contract_path(release: Release, network: str = "") -> Path:
    """Return the file with the contract of a release, whether or not it exists.

    Args:
        release: of tao-pytorch.
        network: whose own symbols are meant; empty for the common ones with image classification.
    """
    name = "-".join(part for part in (release.repo, release.version, network) if part)
    return tree("references") / "contract" / f"{name}.json"


def own_networks() -> tuple[str, ...]:
    """Return the networks with a contract of their own, sorted."""
    return tuple(name for name in network_names() if load_network(name, "in-repo").task != _COMMON_TASK)


def load_contract(path: Path) -> Contract:
    """Return a committed contract."""
    return from_json(path.read_bytes(), Contract)


def extract(clone: Path, release: Release, network: str = "") -> Contract:
    """Return the contract as the commit of *release* in *clone* has it; absent symbols are left out.

    Args:
        clone: of tao-pytorch.
        release: as read from it.
        network: see :func:`contract_path`.

    Raises:
        WorkspaceError: the clone cannot be read, or a file in it does not parse.
    """
    wanted = _wanted_of(network, release.layout) if network else _wanted(release.layout)
    sources = Sources({_REPO: Snapshot(clone, release.commit)}, release)
    types = f"{config_root(release.layout)}.utils.types"
    symbols = {
        name: _facts(sources, symbol, member, types)
        for pattern in wanted.symbols
        for name, symbol, member in _expand(sources, pattern)
    }
    registry = "nvidia_tao_pytorch.cv.backbone_v2"
    entries: tuple[BackboneEntry, ...] = ()
    if f"{registry}:BACKBONE_REGISTRY" in symbols:
        entries = read_registry(sources, registry, f"{registry}:BACKBONE_REGISTRY")
    return Contract(
        repo=_REPO,
        version=release.version,
        layout=release.layout,
        symbols=dict(sorted(symbols.items())),
        backbones=tuple(entry for entry in entries if entry.module in wanted.backbones),
    )


def compare(contract: Contract, clone: Path, release: Release, network: str = "") -> tuple[Difference, ...]:
    """Return in what the clone departs from *contract*, sorted by symbol; empty where in nothing."""
    return differences(contract, extract(clone, release, network))


def differences(contract: Contract, found: Contract) -> tuple[Difference, ...]:
    """Return in what *found* departs from *contract*; pure."""
    result = list(_between_symbols(contract, found))
    expected = {entry.name: entry for entry in contract.backbones}
    present = {entry.name: entry for entry in found.backbones}
    for name in sorted(expected.keys() | present.keys()):
        result += _pair(f"backbone {name}", expected.get(name), present.get(name))
    return tuple(sorted(result, key=lambda item: (item.symbol, item.kind)))


def _wanted(layout: Layout) -> _Wanted:
    text = (tree("references") / "contract" / "symbols.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text.replace("{config}", config_root(layout)), type=_Wanted)


def _wanted_of(name: str, layout: Layout) -> _Wanted:
    """Return what references/networks says that a port of the network imports and extends."""
    network = load_network(name, layout)
    classes = msgspec.structs.asdict(network.classes).values()
    schema = network.config.experiment.partition(":")[0]
    return _Wanted(symbols=(*classes, *network.symbols.values(), f"{schema}:*"), backbones=())


def _expand(sources: Sources, pattern: str) -> Iterator[tuple[str, Symbol, str]]:
    """Yield contract name, definition and member of everything that a pattern means."""
    dotted, _, name = pattern.partition(":")
    if name == "*":
        module = sources.module(dotted)
        names = [] if module is None else [key for key in module.definitions if not key.startswith("_")]
    else:
        names = [name]
    for item in names:
        top, _, member = item.partition(".")
        symbol = sources.find(f"{dotted}:{top}")
        owner = symbol and (_owner(sources, symbol, member) if member else symbol)
        if owner:
            yield f"{dotted}:{item}", owner, member


def _owner(sources: Sources, symbol: Symbol, member: str) -> Symbol | None:
    """Return the class, of *symbol* and its bases, that defines a method."""
    if not isinstance(symbol.node, ast.ClassDef):
        return None
    if member in methods(symbol.node):
        return symbol
    for base in symbol.node.bases:
        owner, _, name = symbol.module.qualify(base).rpartition(".")
        found = sources.find(f"{owner}:{name}")
        inherited = found and _owner(sources, found, member)
        if inherited:
            return inherited
    return None


def _facts(sources: Sources, symbol: Symbol, member: str, types: str) -> SymbolFacts:
    node = symbol.node
    if member and isinstance(node, ast.ClassDef):
        return SymbolFacts(kind="function", call=_call_facts(methods(node)[member], in_class=True))
    if isinstance(node, ast.FunctionDef):
        return SymbolFacts(kind="function", call=_call_facts(node, in_class=False))
    if isinstance(node, ast.ClassDef):
        return _class_facts(sources, symbol.module, node, types)
    return SymbolFacts(kind="value")


def _class_facts(sources: Sources, module: Module, node: ast.ClassDef, types: str) -> SymbolFacts:
    config = read_config_class(sources, module, node, types)
    on_class = [
        target.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]
    on_self = [name for name, _ in assigned_attributes(node)]
    fields = () if config is None else config.fields
    return SymbolFacts(
        kind="class",
        bases=bases(module, node),
        methods={name: _call_facts(item, in_class=True) for name, item in sorted(methods(node).items())},
        attributes=tuple(sorted({*on_class, *on_self})),
        fields=tuple(
            Field(
                name=item.name,
                type=item.type,
                helper=item.helper,
                value=item.value,
                default_value=item.default_value,
                options=item.options,
            )
            for item in fields
        ),
    )


def _call_facts(node: ast.FunctionDef, *, in_class: bool) -> CallFacts:
    decorated = {ast.unparse(item) for item in node.decorator_list}
    named = sorted(decorated & _METHOD_KINDS)
    kind = named[0] if named else ("method" if in_class else "function")
    parameters = list(_parameters(node.args))
    if in_class and kind != "staticmethod":
        parameters = parameters[1:]
    return msgspec.convert({"kind": kind, "parameters": parameters}, CallFacts, from_attributes=True)


def _parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    blank = [None] * (len(positional) - len(arguments.defaults))
    for item, default in zip(positional, [*blank, *arguments.defaults], strict=True):
        yield Parameter(name=item.arg, kind="positional", default=_spelled(default))
    if arguments.vararg:
        yield Parameter(name=arguments.vararg.arg, kind="*")
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(name=item.arg, kind="keyword", default=_spelled(default))
    if arguments.kwarg:
        yield Parameter(name=arguments.kwarg.arg, kind="**")


def _spelled(default: ast.expr | None) -> str | None:
    return None if default is None else ast.unparse(default)


def _between_symbols(contract: Contract, found: Contract) -> Iterator[Difference]:
    for name in sorted(contract.symbols.keys() | found.symbols.keys()):
        expected, present = contract.symbols.get(name), found.symbols.get(name)
        if expected is None or present is None:
            yield from _pair(name, expected, present)
            continue
        for part in ("kind", "call", "bases"):
            yield from _pair(f"{name}", getattr(expected, part), getattr(present, part))
        for member in sorted(expected.methods.keys() | present.methods.keys()):
            yield from _pair(f"{name}.{member}", expected.methods.get(member), present.methods.get(member))
        for attribute in sorted({*expected.attributes} ^ {*present.attributes}):
            kind: Literal["missing", "added"] = "missing" if attribute in expected.attributes else "added"
            yield Difference(symbol=f"{name}.{attribute}", kind=kind, detail="attribute")
        ours = {field.name: field for field in expected.fields}
        theirs = {field.name: field for field in present.fields}
        for field in sorted(ours.keys() | theirs.keys()):
            yield from _pair(f"{name}.{field}", ours.get(field), theirs.get(field))


def _pair(symbol: str, expected: Any, present: Any) -> Iterator[Difference]:
    if expected == present:
        return
    if present is None:
        yield Difference(symbol=symbol, kind="missing", detail=_shown(expected))
    elif expected is None:
        yield Difference(symbol=symbol, kind="added", detail=_shown(present))
    else:
        detail = f"contract {_shown(expected)}, clone {_shown(present)}"
        yield Difference(symbol=symbol, kind="changed", detail=detail)


def _shown(value: Any) -> str:
    if isinstance(value, CallFacts):
        return f"{value.kind}({', '.join(map(_shown, value.parameters))})"
    if isinstance(value, Parameter):
        stars = value.kind if value.kind in {"*", "**"} else ""
        return f"{stars}{value.name}" + ("" if value.default is None else f"={value.default}")
    if isinstance(value, Field):
        return f"{value.name}: {value.type} = {value.value!r} (default {value.default_value!r})"
    if isinstance(value, SymbolFacts):
        return value.kind
    if isinstance(value, BackboneEntry):
        return f"{value.target.rpartition('.')[2]}({value.arguments | value.expressions})"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def main(arguments: Sequence[str]) -> int:
    """Print the common contract of a clone; ``--write`` puts it, and each network's, where porter looks."""
    paths = [item for item in arguments if not item.startswith("-")]
    options = {item for item in arguments if item.startswith("-")}
    try:
        if len(paths) != 1 or options - {"--write"}:
            raise UsageError(
                "One clone is wanted.", next_step="python -m porter.reference.contract CLONE [--write]"
            )
        release = read_release(_REPO, Path(paths[0]))
        contracts = {
            contract_path(release, network): extract(Path(paths[0]), release, network)
            for network in ("", *own_networks())
        }
    except PorterError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if "--write" in options:
        for path, contract in contracts.items():
            path.write_bytes(to_json(contract))
            sys.stdout.write(f"{path}\n")
    else:
        sys.stdout.write(to_json(contracts[contract_path(release)]).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
