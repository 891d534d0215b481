"""How contents of an archive are read and written."""

from __future__ import annotations

from eff.missing import Refused


class BinaryContentCallback(Refused):
    """Content as bytes."""


class StringContentCallback(Refused):
    """Content as text."""
