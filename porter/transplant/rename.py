"""Gives names at top level of a module other names, wherever the module means them."""

from __future__ import annotations

import symtable
from collections.abc import Mapping

import libcst as cst

from porter.transplant.source import code_of


class Renamer(cst.CSTTransformer):
    """Renames; a function that binds one of the names itself means its own.

    Args:
        names: new name by old one.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names = names
        self.hidden: list[frozenset[str]] = [frozenset()]
        self.kept: set[int] = set()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        bare = node.with_changes(decorators=[])
        self.hidden.append(self.hidden[-1] | (_bound_in(code_of(bare)) & set(self.names)))

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        self.hidden.pop()
        return updated_node

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self.kept.add(id(node.attr))

    def visit_Arg(self, node: cst.Arg) -> None:
        self.kept.add(id(node.keyword))

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        name = updated_node.value
        if name not in self.names or id(original_node) in self.kept or name in self.hidden[-1]:
            return updated_node
        return updated_node.with_changes(value=self.names[name])


def _bound_in(function: str) -> frozenset[str]:
    """Return the names that a function binds, its arguments among them."""
    try:
        tables = symtable.symtable(function, "lifted", "exec").get_children()
    except SyntaxError:
        # A nested function that declares names nonlocal; they are the outer one's.
        return frozenset()
    return frozenset(
        symbol.get_name() for table in tables for symbol in table.get_symbols() if symbol.is_local()
    )
