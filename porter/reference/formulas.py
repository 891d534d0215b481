"""Formulas in the facts about models: Python expressions over the fields of a model's config.

A formula may calculate, compare, index, choose and go through lists; it calls the functions below and
nothing else. ``code("torch.nn.GELU")`` is a piece of Python by its import path, for arguments that are
classes or calls; ``activation("gelu")`` is such a piece for a name of transformers' activations.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from porter.records.base import Record

_LONGEST = 4096
_HIGHEST_POWER = 64

_TANH = "functools.partial(torch.nn.GELU, approximate='tanh')"
_ACTIVATIONS = {
    "gelu": "torch.nn.GELU",
    "gelu_new": _TANH,
    "gelu_python": "torch.nn.GELU",
    "gelu_pytorch_tanh": _TANH,
    "quick_gelu": "timm.layers.QuickGELU",
    "relu": "torch.nn.ReLU",
    "silu": "torch.nn.SiLU",
    "swish": "torch.nn.SiLU",
}
"""Layers that compute the activations of transformers, by their name there."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class FormulaError(Exception):
    """A formula has no value for this config, or is no formula."""


class Code(Record, frozen=True, kw_only=True):
    """Python in which every name is written with its import path: ``functools.partial(torch.nn.GELU)``."""

    text: str


def evaluate(formula: str, names: Mapping[str, Any]) -> Any:
    """Return the value of *formula*; tuples come as lists.

    Args:
        formula: a Python expression.
        names: what it may refer to.

    Raises:
        FormulaError: a name is missing, a value is of the wrong kind, or the formula goes beyond the
            language.
    """
    try:
        return _value(_parsed(formula), dict(names))
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise FormulaError(f"{formula}: {error}") from error


@functools.cache
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(formula.strip(), mode="eval").body
    except SyntaxError as error:
        raise FormulaError(f"{formula}: {error.msg}") from error


def ratio(whole: int, part: int) -> float:
    """Return the number by which *part* is multiplied, and cut to a whole number, to make *whole*."""
    found = whole / part
    if int(part * found) != whole:
        found = math.nextafter(found, math.inf)
    return found


def _code(text: str) -> Code:
    return Code(text=ast.unparse(ast.parse(text, mode="eval")))


def _range(*bounds: int) -> list[int]:
    found = range(*bounds)
    if len(found) > _LONGEST:
        raise FormulaError(f"{len(found)} numbers are too many")
    return list(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "activation": lambda name: _code(_ACTIVATIONS[name]),
    "all": all,
    "any": any,
    "ceil": math.ceil,
    "code": _code,
    "enumerate": lambda values: [list(pair) for pair in enumerate(values)],
    "has_activation": lambda name: name in _ACTIVATIONS,
    "int": int,
    "is_number": _is_number,
    "len": len,
    "max": max,
    "min": min,
    "range": _range,
    "ratio": ratio,
    "sum": sum,
    "zip": lambda *lists: [list(items) for items in zip(*lists, strict=True)],
}


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, names) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {
                _value(key, names): _value(value, names)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, names)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _calculated(op, _value(left, names), _value(right, names))
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, names) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, names) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(_value(left, names), ops, [_value(other, names) for other in others])
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Subscript(value=inner, slice=ast.Slice(lower=lower, upper=upper, step=None)):
            bounds = [None if bound is None else _value(bound, names) for bound in (lower, upper)]
            return _value(inner, names)[bounds[0] : bounds[1]]
        case ast.Subscript(value=inner, slice=place):
            return _value(inner, names)[_value(place, names)]
        case ast.ListComp(elt=item, generators=parts) | ast.GeneratorExp(elt=item, generators=parts):
            return [_value(item, scope) for scope in _scopes(parts, names)]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(argument, names) for argument in arguments))
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, names) for part in parts)
    raise FormulaError(f"{ast.unparse(node)} is not part of the language of formulas")


def _text(node: ast.expr, names: dict[str, Any]) -> str:
    if isinstance(node, ast.FormattedValue):
        return str(_value(node.value, names))
    return str(_value(node, names))


def _calculated(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Add) and isinstance(left, list) and isinstance(right, list):
        return left + right
    if not _is_number(left) or not _is_number(right):
        raise FormulaError(f"{left!r} and {right!r} are no two numbers")
    if isinstance(op, ast.Pow):
        if abs(right) > _HIGHEST_POWER:
            raise FormulaError(f"a power of {right} is too high")
        return left**right
    return _BINARY[type(op)](left, right)


def _compared(left: Any, ops: list[ast.cmpop], others: list[Any]) -> bool:
    for op, other in zip(ops, others, strict=True):
        if not _COMPARE[type(op)](left, other):
            return False
        left = other
    return True


def _scopes(parts: list[ast.comprehension], names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not parts:
        yield names
        return
    first, *rest = parts
    for item in _value(first.iter, names):
        scope = names | _bound(first.target, item)
        if all(_value(test, scope) for test in first.ifs):
            yield from _scopes(rest, scope)


def _bound(target: ast.expr, item: Any) -> dict[str, Any]:
    match target:
        case ast.Name(id=name):
            return {name: item}
        case ast.Tuple(elts=parts):
            found: dict[str, Any] = {}
            for part, value in zip(parts, item, strict=True):
                found |= _bound(part, value)
            return found
    raise FormulaError(f"{ast.unparse(target)} is no name to go through a list with")
