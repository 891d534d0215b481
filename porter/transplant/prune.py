"""Leaves of the stand-ins what a lifted file needs."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection

import libcst as cst

from porter.transplant.reach import LiftError, standins
from porter.transplant.source import Top, code_of, used

BASE = "PreTrainedModel"
_BASE_ALWAYS = (
    "__init__",
    "device",
    "post_init",
    "_initialize",
    "is_gradient_checkpointing",
    "gradient_checkpointing_enable",
    "gradient_checkpointing_disable",
    "_set_gradient_checkpointing",
)
"""Methods that the generated backbone calls, and what they call."""
_ACTIVATIONS = "ACT2CLS"


def needed(asked: Collection[str], lifted: str, strings: Collection[str]) -> list[Top]:
    """Return the stand-ins that are asked for and those that these need, in their order.

    Args:
        asked: names.
        lifted: the code that asks.
        strings: every string in the code and in the settings; activations are chosen by name.

    Raises:
        LiftError: the settings name no activation that there is a stand-in for.
    """
    module = standins()
    definitions = module.definitions()
    attributes = attribute_names(lifted)
    more = (
        () if "def _init_weights" in lifted and "super()._init_weights" not in lifted else ("_init_weights",)
    )
    kept: dict[int, Top] = {}
    waiting = list(asked)
    while waiting:
        for place in definitions.get(waiting.pop(), ()):
            if place in kept:
                continue
            statement = module.statements[place]
            if isinstance(statement, cst.ClassDef) and statement.name.value == BASE:
                statement = _with_methods(statement, {*_BASE_ALWAYS, *more}, attributes)
            elif isinstance(statement, cst.SimpleStatementLine) and _ACTIVATIONS in code_of(statement)[:10]:
                statement = _with_entries(statement, strings)
            kept[place] = statement
            waiting += used(code_of(statement))
    return [kept[place] for place in sorted(kept)]


def attribute_names(code: str) -> set[str]:
    """Return the name of every attribute that code reads or calls."""
    return {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}


def method_names(node: cst.ClassDef) -> list[str]:
    """Return the names of a class's methods."""
    return [each.name.value for each in node.body.body if isinstance(each, cst.FunctionDef)]


def _with_methods(node: cst.ClassDef, always: Collection[str], attributes: Collection[str]) -> cst.ClassDef:
    methods = {each.name.value: each for each in node.body.body if isinstance(each, cst.FunctionDef)}
    names = {name for name in methods if name in always or (name in attributes and name != "_init_weights")}
    waiting = list(names)
    while waiting:
        for name in attribute_names(textwrap.dedent(code_of(methods[waiting.pop()]))) & set(
            methods
        ) - names - {"_init_weights"}:
            names.add(name)
            waiting.append(name)
    body = [
        each for each in node.body.body if not isinstance(each, cst.FunctionDef) or each.name.value in names
    ]
    return node.with_changes(body=node.body.with_changes(body=body))


def _with_entries(statement: cst.SimpleStatementLine, strings: Collection[str]) -> cst.SimpleStatementLine:
    table = statement.body[0]
    assert isinstance(table, cst.Assign)
    assert isinstance(table.value, cst.Dict)
    kept = [
        each
        for each in table.value.elements
        if isinstance(each, cst.DictElement)
        and isinstance(each.key, cst.SimpleString)
        and each.key.evaluated_value in strings
    ]
    if not kept:
        raise LiftError("its settings name no activation that porter has a stand-in for")
    kept[-1] = kept[-1].with_changes(comma=table.value.elements[-1].comma)
    value = table.value.with_changes(elements=kept)
    return statement.with_changes(body=[table.with_changes(value=value)])
