"""Values of dataclasses and specs as JSON can hold them."""

from __future__ import annotations

from typing import Any


def as_plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what has no form there, such as an infinity, by its spelling."""
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    return repr(value)
