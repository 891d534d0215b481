"""Shares the kit's reference."""

from tests.generate.conftest import kit, reference

__all__ = ["kit", "reference"]
