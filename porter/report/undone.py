"""What taking a port out of the clones did, shown file by file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from porter.records.undo import Undone, UndoneRepo
from porter.report.terminal import emit

if TYPE_CHECKING:
    from rich.console import Console


def show(undone: Undone, *, as_json: bool) -> None:
    """Show what became of every file, worktree and branch, or would."""
    if as_json:
        emit(undone)
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    if not undone.repos:
        console.print(f"There is nothing of {undone.workspace} in any clone.", markup=False)
    for repo in undone.repos:
        _show(repo, console, "would be removed" if undone.dry_run else "removed")


def _show(repo: UndoneRepo, console: Console, removed: str) -> None:
    console.print(f"{repo.repo}  branch {repo.branch} of {repo.clone}", markup=False)
    for file in repo.files:
        detail = f"  ({file.detail})" if file.detail else ""
        console.print(f"  {file.outcome:<10} {file.path}{detail}", markup=False)
    if repo.removed:
        console.print(f"  {removed}: the branch and its worktree {repo.worktree}", markup=False)
        return
    console.print(f"  stay: the branch and its worktree {repo.worktree}", markup=False, style="yellow")
    for reason in repo.left[:20]:
        console.print(f"    {reason}", markup=False, style="yellow")
    if len(repo.left) > 20:
        console.print(f"    and {len(repo.left) - 20} more", markup=False, style="yellow")
