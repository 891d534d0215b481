"""The embedded kit's reference, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.records.reference import Reference
from tests.e2e.clones import kit_clone


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the embedded kit."""
    return kit_clone(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="session")
def reference(kit: Path) -> Reference:
    """The kit's image-classification network."""
    from porter.reference.choose import read_candidates
    from porter.reference.release import read_release

    release = read_release("tao-pytorch", kit)
    return read_candidates(kit, release, "image-classification")[0]
