"""Archives and streams."""

from eff.core.archive import Archive

__all__ = ["Archive"]
