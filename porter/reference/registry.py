"""The backbone registry: which names it has, and what each builds with which arguments."""

from __future__ import annotations

import ast
import copy
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from porter.records.reference import BackboneClass, BackboneEntry
from porter.reference.facts import method_facts, methods
from porter.reference.literals import NotLiteralError, evaluate, literal_or_none
from porter.reference.modules import Module, Sources


def read_registry(sources: Sources, package: str, registry: str) -> tuple[BackboneEntry, ...]:
    """Return the entries of a registry, sorted by name.

    Only modules that importing *package* also imports are looked at: a name in any other is not
    registered when TAO asks for it. A name that is built at run time cannot be read and is left out.

    Args:
        sources: the clones.
        package: the package whose modules register.
        registry: symbol of the registry object.
    """
    home = sources.require(registry).dotted
    entries: dict[str, BackboneEntry] = {}
    for module in _imported(sources, package):
        short = registry.rpartition(":")[2].encode()
        if short in module.source:
            for entry in _entries(sources, module, home):
                entries.setdefault(entry.name, entry)
    return tuple(entries[name] for name in sorted(entries))


def read_classes(sources: Sources, targets: Sequence[str]) -> tuple[BackboneClass, ...]:
    """Return those of the classes *targets* (import paths) that the clones define, sorted by name."""
    found = []
    for target in sorted(set(targets)):
        owner, _, name = target.rpartition(".")
        symbol = sources.find(f"{owner}:{name}")
        node = None if symbol is None else symbol.module.definitions.get(symbol.name)
        if isinstance(node, ast.ClassDef):
            init = methods(node).get("__init__")
            found.append(
                BackboneClass(
                    target=target,
                    parameters=() if init is None else method_facts(init).parameters,
                    # One that only takes **kwargs beside names of its own forgets what it does not name.
                    open=init is None or (init.args.vararg is not None and init.args.kwarg is not None),
                )
            )
    return tuple(found)


def _imported(sources: Sources, package: str) -> Iterator[Module]:
    """Yield the modules of *package* that importing it imports."""
    seen = {package}
    queue = deque([package])
    while queue:
        module = sources.module(queue.popleft())
        if module is None:
            continue
        yield module
        for dotted in sorted({*module.imports.values(), *module.stars}):
            for candidate in (dotted, dotted.rpartition(".")[0]):
                if candidate.startswith(f"{package}.") and candidate not in seen:
                    seen.add(candidate)
                    queue.append(candidate)


def _entries(sources: Sources, module: Module, home: str) -> Iterator[BackboneEntry]:
    for statement in module.statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            for decorator in statement.decorator_list:
                if _is_register(sources, module, decorator, home):
                    yield _entry(sources, module, statement.name, statement)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _called(sources, module, statement.value, home)


def _called(sources: Sources, module: Module, call: ast.Call, home: str) -> Iterator[BackboneEntry]:
    """Yield what ``REGISTRY.register(obj)`` or ``REGISTRY.register()(obj)`` registers."""
    if not _is_register(sources, module, call, home):
        return
    for argument in call.args:
        if isinstance(argument, ast.Name):
            definition = module.definitions.get(argument.id)
            yield _entry(sources, module, argument.id, definition)


def _is_register(sources: Sources, module: Module, node: ast.expr, home: str) -> bool:
    while isinstance(node, ast.Call):
        node = node.func
    if not isinstance(node, ast.Attribute) or node.attr != "register":
        return False
    owner, _, name = module.qualify(node.value).rpartition(".")
    found = sources.find(f"{owner}:{name}")
    return found is not None and found.dotted == home


@dataclass
class _Built:
    """A call under construction: what is known of its arguments."""

    target: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    expressions: dict[str, str] = field(default_factory=dict)
    forwards: bool = False


def _entry(sources: Sources, module: Module, name: str, node: ast.stmt | None) -> BackboneEntry:
    built = _Built()
    if isinstance(node, ast.ClassDef):
        init = next((item for item in _functions(node.body) if item.name == "__init__"), None)
        built = _Built(
            target=f"{module.name}.{name}", forwards=init is not None and init.args.kwarg is not None
        )
    elif isinstance(node, ast.FunctionDef):
        built = _Factory(module, node).result() or built
    owner, _, target = built.target.rpartition(".")
    found = sources.find(f"{owner}:{target}") if owner else None
    return BackboneEntry(
        name=name,
        module=module.name,
        target=built.target if found is None else found.dotted,
        arguments=built.arguments,
        expressions=built.expressions,
        accepts_kwargs=built.forwards,
    )


def _functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef]:
    return (item for item in body if isinstance(item, ast.FunctionDef))


class _Factory:
    """Follows the straight line of a factory function to the call that it returns."""

    def __init__(self, module: Module, node: ast.FunctionDef) -> None:
        self.module = module
        self.body = node.body
        self.rest = node.args.kwarg.arg if node.args.kwarg else ""
        self.names: dict[str, Any] = dict(module.constants)
        self.dicts: dict[str, _Built] = {}
        self.calls: dict[str, ast.Call] = {}

    def result(self) -> _Built | None:
        returned: ast.Call | None = None
        for statement in self.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._assign(name, value)
                case ast.Return(value=ast.Call() as call):
                    returned = call
                case ast.Return(value=ast.Name(id=name)):
                    returned = self.calls.get(name)
        return None if returned is None else self._read(returned)

    def _assign(self, name: str, value: ast.expr) -> None:
        for known in (self.names, self.dicts, self.calls):
            known.pop(name, None)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
            self.dicts[name] = self._read(value)
        elif isinstance(value, ast.Call):
            self.calls[name] = value
        else:
            literal = literal_or_none(value, self.names)
            if literal is not None:
                self.names[name] = literal

    def _read(self, call: ast.Call) -> _Built:
        built = _Built(target=self.module.qualify(call.func))
        for position, item in enumerate(call.args):
            self._put(built, f"*{position}", item)
        for keyword in call.keywords:
            if keyword.arg is not None:
                self._put(built, keyword.arg, keyword.value)
            else:
                self._spread(built, keyword.value)
        return built

    def _spread(self, built: _Built, value: ast.expr) -> None:
        """Take over what ``**value`` brings: the function's own ``**kwargs``, or a dict made here."""
        match value:
            case ast.Name(id=name) if name == self.rest and name:
                built.forwards = True
            case ast.Name(id=name) if name in self.dicts:
                self._merge(built, self.dicts[name])
            case ast.Call(func=ast.Name(id="dict")):
                for item in value.args:
                    self._spread(built, item)
                inner = self._read(ast.Call(func=value.func, args=[], keywords=value.keywords))
                self._merge(built, inner)
            case _:
                text = self._spelled(value)
                built.expressions[f"**{text}"] = text

    def _merge(self, built: _Built, other: _Built) -> None:
        built.arguments |= other.arguments
        built.expressions |= other.expressions
        built.forwards = built.forwards or other.forwards

    def _put(self, built: _Built, name: str, value: ast.expr) -> None:
        try:
            built.arguments[name] = evaluate(value, self.names)
        except NotLiteralError:
            built.expressions[name] = self._spelled(value)

    def _spelled(self, value: ast.expr) -> str:
        """Return an expression with every name that the module imports written as its import path."""
        return ast.unparse(_ImportPaths(self.module.imports).visit(copy.deepcopy(value)))


class _ImportPaths(ast.NodeTransformer):
    def __init__(self, imports: Mapping[str, str]) -> None:
        self.imports = imports

    def visit_Name(self, node: ast.Name) -> ast.expr:
        path = self.imports.get(node.id)
        return node if path is None else ast.parse(path, mode="eval").body
