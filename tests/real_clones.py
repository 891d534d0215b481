"""The real TAO clones in the cache of the person who runs the tests; for tests marked ``real_tao``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REAL_CACHE


def real_clone(repo: str) -> Path:
    """Return the clone of *repo*; skips, with the reason, where there is none."""
    path = REAL_CACHE / "repos" / repo
    if not (path / ".git").exists():
        pytest.skip(f"no clone of {repo} in {path.parent}")
    return path
