"""Config dataclasses: their fields as the field helpers of the clone make them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from porter.records.base import Record
from porter.records.reference import ConfigClass, ConfigField
from porter.reference.facts import method_facts
from porter.reference.literals import literal_or_none
from porter.reference.modules import Module, Sources, keywords

_NESTED = "DATACLASS_FIELD"
_SEPARATE = ("default_value", "description", "valid_options")
_EMPTY = (None, "")


class _Helper(Record, frozen=True, kw_only=True):
    """How a field helper fills ``default_value``.

    Attributes:
        parameters: its positional parameters; the first takes the value.
        falls_back: whether a default that is given, but empty, is replaced by the value.
    """

    parameters: tuple[str, ...]
    falls_back: bool


def read_config(sources: Sources, experiment: str, types: str) -> tuple[ConfigClass, ...]:
    """Return the config dataclass *experiment* and every one that it reaches.

    Args:
        sources: the clones.
        experiment: symbol of the top class; the classes beside it in its module come first, in
            their order, then bases and nested classes of other modules as they are met.
        types: module of the field helpers.

    Raises:
        WorkspaceError: the class or the module of helpers is not there.
    """
    module, top = sources.require_class(experiment)
    reader = _Reader(sources, types)
    for node in module.definitions.values():
        if isinstance(node, ast.ClassDef) and is_dataclass(module, node):
            reader.read(module, node)
    reader.read(module, top)
    return tuple(reader.classes.values())


def read_config_class(sources: Sources, module: Module, node: ast.ClassDef, types: str) -> ConfigClass | None:
    """Return one config dataclass; None where *node* is no dataclass."""
    if not is_dataclass(module, node):
        return None
    reader = _Reader(sources, types)
    reader.read(module, node)
    return reader.classes[f"{module.name}.{node.name}"]


class _Reader:
    def __init__(self, sources: Sources, types: str) -> None:
        self.sources = sources
        self.types = types
        self.classes: dict[str, ConfigClass] = {}
        self._helpers: dict[str, _Helper | None] = {}

    def read(self, module: Module, node: ast.ClassDef) -> None:
        dotted = f"{module.name}.{node.name}"
        if dotted in self.classes:
            return
        reached: list[ast.expr] = list(node.bases)
        fields = []
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                fields.append(self._field(module, statement.target.id, statement))
                reached += _built_classes(statement.value)
        bases = tuple(self._real_name(module, base) for base in node.bases)
        self.classes[dotted] = ConfigClass(
            name=node.name, module=module.name, bases=bases, fields=tuple(fields)
        )
        for expression in reached:
            self._follow(module, expression)

    def _follow(self, module: Module, expression: ast.expr) -> None:
        owner, _, name = module.qualify(expression).rpartition(".")
        found = self.sources.find(f"{owner}:{name}")
        if found is not None and isinstance(found.node, ast.ClassDef):
            self.read(found.module, found.node)

    def _real_name(self, module: Module, expression: ast.expr) -> str:
        dotted = module.qualify(expression)
        owner, _, name = dotted.rpartition(".")
        found = self.sources.find(f"{owner}:{name}")
        return dotted if found is None else found.dotted

    def _field(self, module: Module, name: str, statement: ast.AnnAssign) -> ConfigField:
        kind = ast.unparse(statement.annotation)
        call = statement.value
        if not isinstance(call, ast.Call):
            value = literal_or_none(call, module.constants)
            return ConfigField(name=name, type=kind, helper="", value=value, default_value=value)
        dotted = module.qualify(call.func)
        helper = dotted.rpartition(".")[2]
        rule = self._helper(dotted)
        named = keywords(call)
        if rule is None:
            value = _plain(named, module)
            known = helper if dotted.startswith(self.types) else ""
            return ConfigField(name=name, type=kind, helper=known, value=value, default_value=value)
        named = dict(zip(rule.parameters, call.args, strict=False)) | named
        first = named.pop(rule.parameters[0], None)
        nested = helper == _NESTED and isinstance(first, ast.Call)
        value = (
            module.qualify(first).rpartition(".")[2]
            if nested and first is not None
            else literal_or_none(first, module.constants)
        )
        metadata = {key: literal_or_none(item, module.constants) for key, item in named.items()}
        return ConfigField(
            name=name,
            type=kind,
            helper=helper,
            value=value,
            default_value=_default(rule, value, metadata),
            options=_options(metadata.get("valid_options")),
            description=str(metadata.get("description") or ""),
            metadata={
                key: item for key, item in metadata.items() if key not in _SEPARATE and item is not None
            },
            arguments=_arguments(first, module) if nested and isinstance(first, ast.Call) else {},
        )

    def _helper(self, dotted: str) -> _Helper | None:
        name = dotted.rpartition(".")[2]
        if name not in self._helpers:
            found = self.sources.find(f"{self.types}:{name}")
            node = None if found is None else found.node
            self._helpers[name] = _read_helper(node) if isinstance(node, ast.FunctionDef) else None
        return self._helpers[name]


def _read_helper(node: ast.FunctionDef) -> _Helper | None:
    parameters = method_facts(node, method=False).parameters
    if not parameters:
        return None
    falls_back = any(
        isinstance(item, ast.Assign)
        and isinstance(item.value, ast.Name)
        and item.value.id == parameters[0]
        and isinstance(item.targets[0], ast.Subscript)
        and literal_or_none(item.targets[0].slice) == "default_value"
        for item in ast.walk(node)
    )
    return _Helper(parameters=parameters, falls_back=falls_back)


def _plain(named: dict[str, ast.expr], module: Module) -> Any:
    """Return the default of a bare ``dataclasses.field(...)``."""
    match named.get("default_factory"):
        case ast.Name(id="list"):
            return []
        case ast.Name(id="dict"):
            return {}
    return literal_or_none(named.get("default"), module.constants)


def _default(rule: _Helper, value: Any, metadata: dict[str, Any]) -> Any:
    if "default_value" not in metadata:
        return value
    given = metadata["default_value"]
    if rule.falls_back and given in _EMPTY and value not in _EMPTY:
        return value
    return given


def _options(text: Any) -> tuple[str, ...]:
    if not isinstance(text, str):
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _arguments(call: ast.Call, module: Module) -> dict[str, Any]:
    return {key: literal_or_none(value, module.constants) for key, value in keywords(call).items()}


def _built_classes(value: ast.expr | None) -> Iterator[ast.expr]:
    """Yield what a nested field is built from: ``Head`` of ``DATACLASS_FIELD(Head())``."""
    if isinstance(value, ast.Call):
        for item in (*value.args, *keywords(value).values()):
            if isinstance(item, ast.Call):
                yield item.func


def is_dataclass(module: Module, node: ast.ClassDef) -> bool:
    """Return whether a class carries the dataclass decorator."""
    return any(module.qualify(item).rpartition(".")[2] == "dataclass" for item in node.decorator_list)
