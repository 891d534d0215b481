"""Clones of its own for every row; the user's stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import WorkspaceError
from porter.matrix import targets
from tests.repositories import git, repository

FILES = {"setup.py": "setup()\n", "big/data.py": "x = 1\n"}


def target(clone: Path, **commits: str) -> targets.Targets:
    head = git(clone, "rev-parse", "HEAD")
    return targets.Targets(
        embedded=False,
        clones={"tao-pytorch": str(clone)},
        commits={"tao-pytorch": head},
        shown={},
    )


def test_a_row_works_in_a_clone_that_shares_the_users(tmp_path: Path) -> None:
    clone = repository(tmp_path / "user", FILES)
    found = target(clone)
    before = git(clone, "for-each-ref"), git(clone, "worktree", "list")
    options = targets.options_for(found, tmp_path / "row" / "clones")
    own = tmp_path / "row" / "clones" / "tao-pytorch"
    assert options == ("--tao-pytorch", str(own), "--base", f"tao-pytorch={found.commits['tao-pytorch']}")
    git(
        own,
        "worktree",
        "add",
        "--quiet",
        "-b",
        "feature/x",
        str(tmp_path / "tree"),
        found.commits["tao-pytorch"],
    )
    assert (tmp_path / "tree" / "big" / "data.py").exists()
    assert (git(clone, "for-each-ref"), git(clone, "worktree", "list")) == before
    assert not (own / "setup.py").exists()
    assert (own / ".git" / "objects" / "info" / "alternates").exists(), "its objects are the user's"


def test_a_sparse_clone_hands_on_its_patterns(tmp_path: Path) -> None:
    clone = repository(tmp_path / "user", FILES)
    git(clone, "sparse-checkout", "set", "--no-cone", "/setup.py")
    targets.options_for(target(clone), tmp_path / "clones")
    own = tmp_path / "clones" / "tao-pytorch"
    assert git(own, "config", "core.sparseCheckout") == "true"
    assert (own / ".git" / "info" / "sparse-checkout").read_text() == "/setup.py\n"


def test_without_a_clone_it_says_how_to_go_on() -> None:
    with pytest.raises(WorkspaceError) as caught:
        targets.find({}, {}, "main", embedded=False)
    assert "--embedded" in caught.value.next_step


def test_the_kit_needs_no_clone(tmp_path: Path) -> None:
    found = targets.find({}, {}, "main", embedded=True)
    assert targets.options_for(found, tmp_path) == ("--embedded",)
    assert "embedded kit" in found.shown["tao-pytorch"]
