"""What has to stay as it is, whatever a model does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TOKEN = "hf_c4naryOfTheHubToken"
KEY = "ngc_c4naryOfTheRegistryKey"
CANARY = "porter-canary-ran"


def snapshot(*folders: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return mode, size and times of everything below the folders."""
    found = {}
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            facts = path.lstat()
            found[str(path)] = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_uid)
    return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose ``outside`` and home nothing may touch; secrets are set, and must turn up nowhere.

    The test may write below ``work`` and porter below its cache, which is there too.
    """
    outside, home, work = tmp_path / "outside", tmp_path / "home", tmp_path / "work"
    for folder in (outside, home, work):
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "file").write_text("mine")
        (folder / "file").chmod(0o666)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id").write_text("private")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PORTER_CACHE", str(work / "cache"))
    monkeypatch.setenv("HF_HOME", str(work / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NGC_KEY", KEY)
    monkeypatch.chdir(outside)
    before = snapshot(outside, home)
    yield tmp_path
    assert snapshot(outside, home) == before
    for place in (Path("/tmp"), Path("/var/tmp"), outside, home, tmp_path, work):
        assert not (place / CANARY).exists()
    for path in work.rglob("*"):
        if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
            data = path.read_bytes()
            assert TOKEN.encode() not in data, path
            assert KEY.encode() not in data, path
