"""Values that a source file states literally, with names and arithmetic on literals resolved."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from porter.records.reference import REQUIRED

_LARGEST = 100_000

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class NotLiteralError(ValueError):
    """The expression depends on something that only a run could tell."""


def evaluate(node: ast.expr, names: Mapping[str, Any] | None = None) -> Any:
    """Return the value of *node*; sequences come as lists, ``MISSING`` as ``???``.

    Args:
        node: an expression.
        names: values of the names that it may use.

    Raises:
        NotLiteralError: it holds anything but literals, *names* and arithmetic on them.
    """
    known = names or {}
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return value
        case ast.Name(id="MISSING") | ast.Attribute(attr="MISSING"):
            return REQUIRED
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [evaluate(item, known) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key, known): evaluate(value, known) for key, value in zip(keys, values, strict=True)}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _arithmetic(operator.sub, 0, evaluate(operand, known))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _arithmetic(_OPERATORS[type(op)], evaluate(left, known), evaluate(right, known))
        case ast.Subscript(value=value, slice=index):
            return _item(evaluate(value, known), evaluate(index, known))
        case ast.JoinedStr(values=parts):
            return "".join(_part(part, known) for part in parts)
        case ast.Call(func=ast.Attribute(value=glue, attr="join"), args=[items], keywords=[]):
            return _join(evaluate(glue, known), evaluate(items, known))
    raise NotLiteralError(ast.unparse(node))


def literal_or_none(node: ast.expr | None, names: Mapping[str, Any] | None = None) -> Any:
    """Return the value of *node*, or None where it states none."""
    if node is None:
        return None
    try:
        return evaluate(node, names)
    except NotLiteralError:
        return None


def _key(key: ast.expr | None, known: Mapping[str, Any]) -> Any:
    value = None if key is None else evaluate(key, known)
    if not isinstance(value, str | int | float):
        raise NotLiteralError("a dict key that JSON has no word for")
    return value


def _arithmetic(apply: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if apply is operator.mul and any(isinstance(side, int) and side > _LARGEST for side in (left, right)):
        raise NotLiteralError("too large to work out")
    try:
        return apply(left, right)
    except (TypeError, ZeroDivisionError) as error:
        raise NotLiteralError(str(error)) from error


def _item(container: Any, index: Any) -> Any:
    try:
        return container[index]
    except (TypeError, KeyError, IndexError) as error:
        raise NotLiteralError(str(error)) from error


def _part(part: ast.expr, known: Mapping[str, Any]) -> str:
    if isinstance(part, ast.FormattedValue) and part.format_spec is None and part.conversion == -1:
        return str(evaluate(part.value, known))
    return str(evaluate(part, known))


def _join(glue: Any, items: Any) -> str:
    if not isinstance(glue, str) or not isinstance(items, list):
        raise NotLiteralError("join of something that is no text")
    return glue.join(str(item) for item in items)
