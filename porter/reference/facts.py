"""Facts about classes, functions and scripts, read from their syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from porter.records.reference import ClassFacts, HydraRunner, MethodFacts
from porter.reference.literals import literal_or_none
from porter.reference.modules import Module, keywords

_STATIC = {"staticmethod"}


def method_facts(node: ast.FunctionDef, *, method: bool = True) -> MethodFacts:
    """Return the facts of a function.

    Args:
        node: its definition.
        method: whether it stands in a class; the first parameter (``self``, ``cls``) is then left
            out unless the method is static.
    """
    static = any(isinstance(item, ast.Name) and item.id in _STATIC for item in node.decorator_list)
    positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    with_default = positional[len(positional) - len(node.args.defaults) :]
    named = [argument.arg for argument in node.args.kwonlyargs]
    with_default += [
        name for name, default in zip(named, node.args.kw_defaults, strict=True) if default is not None
    ]
    bound = method and not static
    return MethodFacts(
        name=node.name,
        parameters=tuple((positional[1:] if bound else positional) + named),
        defaults=tuple(with_default),
        accepts_kwargs=node.args.kwarg is not None,
        static=static,
    )


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """Return the methods that a class itself defines."""
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def bases(module: Module, node: ast.ClassDef) -> tuple[str, ...]:
    """Return the import paths of a class's bases; ``object`` says nothing and is left out."""
    return tuple(name for name in map(module.qualify, node.bases) if name != "object")


def class_facts(module: Module, node: ast.ClassDef) -> ClassFacts:
    """Return what the source states about a class; inherited members are not its own."""
    return ClassFacts(
        name=node.name,
        module=module.name,
        bases=bases(module, node),
        methods=tuple(method_facts(item) for item in methods(node).values()),
        attributes=tuple(dict.fromkeys(name for name, _ in assigned_attributes(node))),
    )


def assigned_attributes(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield every ``self.name`` that a class assigns, with the value where there is one."""
    for statement in ast.walk(node):
        match statement:
            case ast.Assign(targets=targets, value=value):
                yield from ((name, value) for target in targets for name in _on_self(target))
            case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
                yield from ((name, value) for name in _on_self(target))


def _on_self(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            yield name
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from _on_self(item)
        case ast.Starred(value=value):
            yield from _on_self(value)


def attribute_value(node: ast.ClassDef, name: str) -> object:
    """Return the literal that a class assigns to ``self.name``; None where it assigns none."""
    values = (literal_or_none(value) for found, value in assigned_attributes(node) if found == name)
    return next((value for value in values if value is not None), None)


def stored_item(node: ast.AST, key: str) -> object:
    """Return the literal of an assignment ``something["key"] = literal`` inside *node*."""
    for statement in ast.walk(node):
        match statement:
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=found))], value=value):
                if found == key:
                    return literal_or_none(value)
    return None


def local_value(tree: ast.AST, name: str) -> object:
    """Return the literal of the first assignment ``name = literal``, at whatever depth."""
    for statement in ast.walk(tree):
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return literal_or_none(value)
    return None


def default_of(node: ast.FunctionDef, parameter: str) -> object:
    """Return the literal default of a parameter; None where it has none."""
    positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    defaults: dict[str, ast.expr | None] = dict(
        zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True)
    )
    defaults |= {
        argument.arg: default
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    return literal_or_none(defaults.get(parameter))


def hydra_runner(module: Module, script: str) -> tuple[HydraRunner, str] | None:
    """Return how a script's main function is decorated, and the folder of its spec.

    The spec folder is relative to the network's package; the record's ``spec_present`` is left
    False for the caller, who knows the files. None where no function carries both decorators.
    """
    for statement in module.tree.body:
        if not isinstance(statement, ast.FunctionDef):
            continue
        calls = {
            module.qualify(item.func).rpartition(".")[2]: item
            for item in statement.decorator_list
            if isinstance(item, ast.Call)
        }
        if {"hydra_runner", "monitor_status"} <= set(calls):
            runner, status = keywords(calls["hydra_runner"]), keywords(calls["monitor_status"])
            schema = runner.get("schema")
            facts = HydraRunner(
                script=script,
                config_name=str(literal_or_none(runner.get("config_name")) or ""),
                spec_present=False,
                mode=str(literal_or_none(status.get("mode")) or ""),
                schema_module=module.qualify(schema).rpartition(".")[0] if schema is not None else "",
            )
            return facts, _spec_folder(runner.get("config_path"))
    return None


def _spec_folder(path: ast.expr | None) -> str:
    match path:
        case ast.Call(func=ast.Attribute(attr="join"), args=[_, *parts]):
            return "/".join(str(literal_or_none(part) or "") for part in parts)
    return str(literal_or_none(path) or "")
