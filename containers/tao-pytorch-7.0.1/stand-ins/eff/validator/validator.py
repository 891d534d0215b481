"""Validation of metadata."""

from __future__ import annotations

from typing import Any, NoReturn

from eff.missing import refuse


def validate_metadata(*arguments: Any, **keywords: Any) -> NoReturn:
    """Refuse to validate."""
    refuse("validating the metadata of an EFF archive")
