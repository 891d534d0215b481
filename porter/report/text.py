"""Text that somebody else chose, made safe to look at."""

from __future__ import annotations

import re
from typing import Any

# What a terminal or a browser would act on, or not show at all; line breaks and tabs stay.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(value: Any) -> Any:
    """Return text with its invisible characters spelled out; anything else as it is.

    A label may hold a character that reorders the line or hides a part of it.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _INVISIBLE.sub(lambda found: f"\u2039U+{ord(found[0]):04X}\u203a", value)


def in_line(text: Any) -> str:
    """Return text, which may hold anything, as a part of one line."""
    return " ".join(str(visible(text)).split())
