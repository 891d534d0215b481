"""Modules of transformers as porter reads them: what each name at their top level means."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field

import libcst as cst

PACKAGE = "transformers"
Top = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True)
class Origin:
    """A name of another module of transformers."""

    module: str
    name: str


@dataclass(frozen=True, order=True)
class Import:
    """An import of another package: ``from module import name as alias``, or ``import module as alias``."""

    module: str
    name: str = ""
    alias: str = ""

    @property
    def local(self) -> str:
        """The name that it binds."""
        return self.alias or self.name or self.module.partition(".")[0]


@dataclass
class Module:
    """A module after cleaning.

    Attributes:
        name: dotted name.
        statements: its statements, imports left out.
        own: import of transformers by local name.
        foreign: other imports by local name; ``import a`` and ``import a.b`` bind one name.
    """

    name: str
    statements: list[Top] = field(default_factory=list)
    own: dict[str, Origin] = field(default_factory=dict)
    foreign: dict[str, list[Import]] = field(default_factory=dict)

    def definitions(self) -> dict[str, list[int]]:
        """Return the places of the statements that define or change each name, in order."""
        found: dict[str, list[int]] = {}
        for place, statement in enumerate(self.statements):
            for name in defined(statement):
                found.setdefault(name, []).append(place)
        return found


def dotted(node: cst.BaseExpression | None) -> str:
    """Return a name with dots as text; empty for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return f"{left}.{node.attr.value}" if left else ""
    return ""


def code_of(node: cst.CSTNode) -> str:
    """Return the source of a node, alone."""
    return cst.Module(body=[]).code_for_node(node)


def defined(statement: Top) -> list[str]:
    """Return the names that a statement at top level binds or changes; changes count as definitions."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return [statement.name.value]
    if not isinstance(statement, cst.SimpleStatementLine):
        return []
    found = []
    for part in statement.body:
        if isinstance(part, cst.Assign):
            targets: list[cst.BaseExpression] = [target.target for target in part.targets]
        elif isinstance(part, cst.AnnAssign | cst.AugAssign):
            targets = [part.target]
        elif isinstance(part, cst.Expr) and isinstance(part.value, cst.Call):
            targets = [part.value.func]
        else:
            continue
        found += [name for target in targets for name in _roots(target)]
    return found


def _roots(target: cst.BaseExpression) -> Iterator[str]:
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _roots(element.value)
    while isinstance(target, cst.Attribute | cst.Subscript):
        target = target.value
    if isinstance(target, cst.Name):
        yield target.value


def used(code: str) -> set[str]:
    """Return the names that a statement takes from outside of itself, whether builtin, imported or defined.

    Annotations count, attribute and keyword names do not; what a function binds is its own.
    """
    table = symtable.symtable(code, "lifted", "exec")
    own = set(_bound(table))
    return {name for name in _free(table) if name not in own} | _self_use(table, own)


def _bound(table: symtable.SymbolTable) -> Iterator[str]:
    return (symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned())


def _self_use(table: symtable.SymbolTable, own: set[str]) -> set[str]:
    """Return what a statement both binds and reads, such as ``x = x + 1``: it needs the earlier one."""
    read = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    return read & own


def _free(table: symtable.SymbolTable) -> Iterator[str]:
    is_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _free(child)


def resolve(module: str, level: int, target: str) -> str:
    """Return the dotted module that ``from <dots><target> import`` in *module* means."""
    if not level:
        return target
    parts = module.split(".")[:-level]
    return ".".join([*parts, target] if target else parts)


def imports(module: str, text: str) -> tuple[dict[str, Origin], dict[str, list[Import]]]:
    """Return what the import statements of a module bind, wherever they stand.

    Returns:
        names of transformers, and imports of other packages, each by local name.
    """
    own: dict[str, Origin] = {}
    foreign: dict[str, list[Import]] = {}
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                source = resolve(module, node.level, node.module or "")
                found = Import(source, alias.name, alias.asname or "")
            else:
                found = _plain(alias.name, alias.asname or "")
            if found.module.partition(".")[0] == PACKAGE:
                own[found.local] = Origin(found.module, found.name)
            elif found not in foreign.setdefault(found.local, []):
                foreign[found.local].append(found)
    return own, foreign


def _plain(module: str, alias: str) -> Import:
    """Return ``import module as alias``; ``import a.b as c`` is ``from a import b as c``."""
    package, _, name = module.rpartition(".")
    if alias and package:
        return Import(package, name, "" if alias == name else alias)
    return Import(module, "", alias)
