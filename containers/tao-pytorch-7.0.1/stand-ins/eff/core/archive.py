"""EFF archives."""

from __future__ import annotations

from typing import Any, NoReturn

from eff.missing import Refused, refuse


class Archive(Refused):
    """An EFF archive; none can be made or opened."""

    @classmethod
    def create(cls, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse to make one."""
        refuse("writing an EFF archive")

    @classmethod
    def restore_from(cls, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse to open one."""
        refuse("reading an EFF archive")

    @classmethod
    def restore_manifest(cls, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse to read a manifest."""
        refuse("reading the manifest of an EFF archive")
