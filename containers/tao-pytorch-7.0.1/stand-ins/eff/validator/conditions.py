"""Conditions on metadata; TAO states some in class bodies, so they can be made but not evaluated."""

from __future__ import annotations

from typing import Any


class Expression:
    """A comparison that is never carried out."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments = arguments
        self.keywords = keywords
