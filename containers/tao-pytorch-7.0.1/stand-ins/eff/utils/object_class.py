"""Names of classes in archives."""

from __future__ import annotations

from typing import Any, NoReturn

from eff.missing import refuse


def generate_obj_cls(*arguments: Any, **keywords: Any) -> NoReturn:
    """Refuse to name a class."""
    refuse("naming the class of an EFF archive")
