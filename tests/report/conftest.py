"""Sample workspaces, and a browser where the machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.sample import TAME, Ending, Sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Make = Callable[..., Sample]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a sample workspace."""

    def made(ending: Ending = "open", said: str = TAME) -> Sample:
        return Sample(tmp_path / "sample", ending, said)

    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here; containers/install-chromium.sh installs it")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
