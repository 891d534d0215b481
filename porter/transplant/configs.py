"""The settings that a lifted file reads."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

import libcst as cst

from porter.transplant.source import dotted

CLASS_NAME = "class_name"
"""The setting that holds the name of the config's class."""

_GIVEN = frozenset({"num_labels", "id2label", "label2id", "problem_type"})
_ALWAYS = frozenset({"_attn_implementation", "return_dict", "use_return_dict"})
_READERS = ("getattr", "hasattr")


class ByName(cst.CSTTransformer):
    """Asks for the name of a config's class in place of ``isinstance``.

    Args:
        classes: the config classes.
    """

    def __init__(self, classes: Collection[str]) -> None:
        super().__init__()
        self.classes = classes

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        if dotted(updated_node.func) != "isinstance" or len(updated_node.args) != 2:
            return updated_node
        config, kind = (each.value for each in updated_node.args)
        if dotted(kind) not in self.classes:
            return updated_node
        return cst.Comparison(
            left=cst.Attribute(config, cst.Name(CLASS_NAME)),
            comparisons=[cst.ComparisonTarget(cst.Equal(), cst.SimpleString(f'"{dotted(kind)}"'))],
        )


def keys_read(code: str) -> set[str]:
    """Return the names of the settings that code reads, as attributes of a config or through getattr."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and _is_config(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and len(node.args) > 1 and _is_config(node.args[0]):
            key = node.args[1]
            if isinstance(node.func, ast.Name) and node.func.id in _READERS:
                if isinstance(key, ast.Constant):
                    found.add(str(key.value))
                else:
                    # getattr(config, f"output_{name}")
                    found |= {"output_attentions", "output_hidden_states"}
    return found


def _is_config(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.endswith("config")


def settings(config: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return the settings of *config* that are read, less the number of classes; of its parts likewise."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in _GIVEN or key not in {*keys, *_ALWAYS}:
            continue
        is_part = key.endswith("_config") and isinstance(value, dict)
        found[key] = settings(value, keys) if is_part else value
    return found


def strings(value: Any) -> set[str]:
    """Return every string in a plain value."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return {each for item in value.values() for each in strings(item)}
    return {each for item in value for each in strings(item)} if isinstance(value, list) else set()
