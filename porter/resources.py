"""Where the data that ships with porter lies: templates, references, containers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent

Tree = Literal["templates", "references", "containers"]


def tree(name: Tree) -> Path:
    """Return the folder of one shipped data tree.

    A wheel carries the trees inside the package; a checkout has them beside it.
    """
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
