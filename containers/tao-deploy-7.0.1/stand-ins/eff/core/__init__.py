"""Archives."""

from __future__ import annotations

from typing import Any, NoReturn

from eff.missing import Refused, refuse


class Archive(Refused):
    """An EFF archive; none can be made or opened."""

    @classmethod
    def restore_artifact(cls, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse to take a file out of one."""
        refuse("reading a file of an EFF archive")
