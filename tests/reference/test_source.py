"""A clone is read at its commit, whatever lies in the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.reference.source import Snapshot
from tests.repositories import git, repository, write


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return repository(tmp_path / "clone", {"a/b.py": "one\n", "a/c/d.py": "", "bild ü.bin": b"\x00\xff"})


def test_uncommitted_work_is_not_seen(clone: Path) -> None:
    write(clone, {"a/b.py": "edited\n", "a/new.py": "x"})
    git(clone, "add", "-A")

    snapshot = Snapshot(clone)

    assert snapshot.read("a/b.py") == b"one\n"
    assert snapshot.read("a/new.py") is None
    assert snapshot.paths == {"a/b.py", "a/c/d.py", "bild ü.bin"}


def test_files_come_whole_and_in_any_order(clone: Path) -> None:
    snapshot = Snapshot(clone)

    assert snapshot.read("bild ü.bin") == b"\x00\xff"
    assert snapshot.read("a/c/d.py") == b""
    assert snapshot.text("a/b.py") == "one\n"
    assert snapshot.text("nowhere") == ""
    assert snapshot.folders("a") == ("c",)


def test_another_revision_and_a_linked_worktree(clone: Path, tmp_path: Path) -> None:
    first = git(clone, "rev-parse", "HEAD")
    write(clone, {"a/b.py": "two\n"})
    git(clone, "commit", "-aqm", "second")
    git(clone, "worktree", "add", "-q", "-b", "feature/x", str(tmp_path / "tree"))

    assert Snapshot(clone, first).read("a/b.py") == b"one\n"
    assert Snapshot(tmp_path / "tree").read("a/b.py") == b"two\n"


def test_a_git_folder_of_the_environment_does_not_redirect(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other", {"only.txt": ""})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    assert "a/b.py" in Snapshot(clone).paths


def test_what_is_no_checkout_is_refused_with_the_reason(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()

    with pytest.raises(WorkspaceError, match="is not a folder"):
        Snapshot(tmp_path / "absent")
    with pytest.raises(WorkspaceError) as plain:
        Snapshot(tmp_path / "plain")
    assert "not a git repository" in plain.value.why
    with pytest.raises(WorkspaceError) as revision:
        Snapshot(clone, "v9")
    assert revision.value.why == "it has no commit v9"
