"""What taking a port out of the clones does, or would do."""

from __future__ import annotations

from porter.records.base import Record
from porter.records.plan import Applied
from porter.records.reference import Repo


class UndoneRepo(Record, frozen=True, kw_only=True):
    """One clone.

    Attributes:
        clone: the user's clone; never removed.
        files: what becomes of each file of the port.
        removed: whether worktree and branch go too.
        left: what keeps them, one reason each; empty where they go.
    """

    repo: Repo
    clone: str
    worktree: str
    branch: str
    files: tuple[Applied, ...] = ()
    removed: bool
    left: tuple[str, ...] = ()


class Undone(Record, frozen=True, kw_only=True):
    """A port and what becomes of it.

    Attributes:
        dry_run: nothing was changed.
    """

    workspace: str
    dry_run: bool
    repos: tuple[UndoneRepo, ...]
