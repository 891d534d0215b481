"""The filters by which values reach generated code: literals only, never raw text."""

from __future__ import annotations

import json
import re
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

_UNFIT = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Line ends beside \\n, control characters, halves of pairs, and marks of byte order."""


def python_literal(value: Any) -> str:
    """Return *value* as a Python literal in double quotes, safe for any string.

    Raises:
        TypeError: for a value that has no literal form.
    """
    if isinstance(value, str):
        return _json(value)
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(python_literal(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{python_literal(key)}: {python_literal(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    raise TypeError(f"no Python literal for a {type(value).__name__}")


def tuple_literal(values: list[Any]) -> str:
    """Return a list as a Python tuple."""
    return "(" + ", ".join(python_literal(item) for item in values) + (",)" if len(values) == 1 else ")")


def yaml_literal(value: Any) -> str:
    """Return *value* as one line of flow-style YAML (JSON is a subset of it)."""
    return _json(value)


def _json(value: Any) -> str:
    """Return *value* as JSON, with escapes for what a file of Python or YAML cannot hold as it is."""
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def comment_text(value: str) -> str:
    """Return *value* so that it stays inside one comment line."""
    return " ".join(str(value).split())


class LiteralFilters(Extension):
    """Makes the filters known to copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["py"] = python_literal
        environment.filters["py_tuple"] = tuple_literal
        environment.filters["yaml"] = yaml_literal
        environment.filters["comment"] = comment_text
