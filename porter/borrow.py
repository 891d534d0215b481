"""A private stand-in for the user's clone, so that a dry run leaves no branch and no worktree behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from porter import git


def borrow(user_clone: Path, folder: Path, *, without: str = "") -> Path:
    """Return a clone of *user_clone* in *folder* that shares its objects and its sparse patterns.

    Args:
        user_clone: only read.
        folder: made anew where it is not a whole clone.
        without: a branch to leave out; empty for none.

    Raises:
        WorkspaceError: *user_clone* is no repository that git can clone.
    """
    done = folder / "porter-borrowed"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git.run(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", str(user_clone), str(folder))
    for branch in git.names(user_clone, "for-each-ref", "--format=%(refname:short)%00", "refs/heads"):
        name = branch.strip()
        if (
            name
            and name != without
            and git.ask(folder, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}") is None
        ):
            git.run(folder, "branch", "--quiet", "--no-track", name, f"refs/remotes/origin/{name}")
    if git.ask(user_clone, "config", "--type=bool", "core.sparseCheckout") == "true":
        patterns = git.line(
            user_clone, "rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout"
        )
        if Path(patterns).is_file():
            cone = git.ask(user_clone, "config", "--type=bool", "core.sparseCheckoutCone") or "false"
            target = folder / ".git" / "info" / "sparse-checkout"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(Path(patterns).read_bytes())
            git.run(folder, "config", "core.sparseCheckout", "true")
            git.run(folder, "config", "core.sparseCheckoutCone", cone)
    done.write_text("", encoding="utf-8")
    return folder
