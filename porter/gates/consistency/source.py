"""Reading generated Python without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from porter.records.base import Record


class Import(Record, frozen=True, kw_only=True):
    """A name that a module imports: ``from module import name``, or ``import module`` with no name."""

    line: int
    module: str
    name: str = ""


def trees(files: Mapping[str, str]) -> Iterator[tuple[str, ast.Module]]:
    """Yield path and syntax tree of every Python file that parses."""
    for path, text in files.items():
        tree = parsed(text) if path.endswith(".py") else None
        if tree is not None:
            yield path, tree


def parsed(text: str) -> ast.Module | None:
    """Return the syntax tree, or None where the text is no Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def imports(tree: ast.Module) -> Iterator[Import]:
    """Yield every import, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(line=node.lineno, module=alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (Import(line=node.lineno, module=module, name=alias.name) for alias in node.names)


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield calls of a function or method by its last name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) == name:
            yield node


def called(call: ast.Call) -> str:
    """Return the last name of what is called; empty where it has none."""
    return dotted(call.func).rpartition(".")[2]


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` of a chain of attributes; what it starts from is left out where it is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a keyword argument."""
    return next((item.value for item in call.keywords if item.arg == name), None)


def literal(node: ast.AST | None) -> Any:
    """Return the value of a literal; None for anything else."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None


def assigned(tree: ast.AST, name: str) -> Iterator[ast.expr]:
    """Yield what is assigned to a variable or an attribute of this last name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        if any(dotted(target).rpartition(".")[2] == name for target in targets):
            yield value


def function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Return a function of the top level."""
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return next(found, None)


def decorators(definition: ast.FunctionDef) -> list[str]:
    """Return the last names of a function's decorators, outermost first."""
    return [
        called(item) if isinstance(item, ast.Call) else dotted(item).rpartition(".")[2]
        for item in definition.decorator_list
    ]
