"""A stub of a network in a virtual environment, and a folder for its runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.launch import build
from tests.launch.answers import SOURCE
from tests.launch.fields import dino_answer
from tests.launch.led import CHECKPOINT
from tests.launch.stub_tao import StubTao


@pytest.fixture(scope="session")
def stub_environment(tmp_path_factory: pytest.TempPathFactory) -> StubTao:
    return StubTao(tmp_path_factory.mktemp("stub") / "venv", "dino", "val_mAP50", CHECKPOINT)


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "ask", lambda found, given, ui: (dino_answer(), SOURCE))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "start.pth").write_text("0")


@pytest.fixture
def stub(_here: None, stub_environment: StubTao) -> StubTao:
    stub_environment.set(seconds=0.0, fails={}, measures=True)
    return stub_environment
