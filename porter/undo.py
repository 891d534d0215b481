"""Takes a port out of the clones again, and leaves in them what people have written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from porter import clones, worktrees
from porter.errors import WorkspaceError
from porter.generate.apply import apply, forget
from porter.journal import Journal
from porter.records.journal import CloneRecord
from porter.records.plan import Applied, FilePlan
from porter.records.reference import Repo
from porter.records.undo import Undone, UndoneRepo
from porter.workspace import Workspace

_AS_COMMITTED = frozenset({"removed", "updated", "identical"})
"""Outcomes after which a file is what the commit has, or is gone where the commit has none."""


def undo(workspace: Workspace, *, dry_run: bool = False) -> Undone:
    """Take the port out of every clone of *workspace*. Use it under the workspace's lock.

    Files that porter made go, its edits of existing files are merged out; a file of porter's that a person
    has edited stays. A worktree in which nothing of anybody is left goes with its branch. The workspace
    stays, so that the port can be made again. A run that is killed on the way is completed by the next one.

    Raises:
        ConflictError: a person has edited the lines that porter would take out; nothing was changed.
        WorkspaceError: a worktree is not as porter knows it.
    """
    records = [record for repo in get_args(Repo) if (record := clones.read_record(workspace, repo))]
    for record in records:
        _check(workspace, record)
    if not dry_run:
        # What is half made is made whole first: then it can be told whether somebody has been at it.
        records = [_whole(workspace, record) for record in records]
    standing = [record for record in records if record.state == "ready" and Path(record.worktree).exists()]
    if not dry_run:
        # What will no longer be true goes first: a kill in between costs time, not truth.
        journal = Journal(workspace)
        journal.forget(3)
        journal.forget_steps(1, ())
    applied = apply(
        FilePlan(files=()),
        {record.repo: Path(record.worktree) for record in standing},
        workspace.pristine,
        bases={record.repo: record.commit for record in standing},
        dry_run=dry_run,
        keep_edited=True,
        again="porter undo",
    )
    undone = []
    for record in records:
        files = tuple(entry for entry in applied if entry.repo == record.repo)
        left = _left(record, files) if record in standing else ()
        if not dry_run and not left:
            _retire(workspace, record)
        undone.append(
            UndoneRepo(
                repo=record.repo,
                clone=record.clone,
                worktree=record.worktree,
                branch=record.branch,
                files=files,
                removed=not left,
                left=left,
            )
        )
    return Undone(workspace=str(workspace.root), dry_run=dry_run, repos=tuple(undone))


def _check(workspace: Workspace, record: CloneRecord) -> None:
    place = workspace.clone_path(record.repo)
    if record.worktree != str(place):
        raise WorkspaceError(
            f"the worktree of {record.repo} was made at {record.worktree}, not at {place}",
            why="the workspace was moved",
            next_step="move it back",
        )
    if place.exists() and record.state == "ready":
        clones.check_in_use(record)


def _whole(workspace: Workspace, record: CloneRecord) -> CloneRecord:
    if record.state == "ready" or not Path(record.clone).is_dir():
        return record
    return clones.prepare(record.repo, Path(record.clone), workspace, record.branch, record.base)


def _left(record: CloneRecord, files: Sequence[Applied]) -> tuple[str, ...]:
    """Say what of somebody is in a worktree or on its branch once *files* are as decided."""
    worktree = Path(record.worktree)
    gone = {entry.path for entry in files if entry.outcome in _AS_COMMITTED}
    reasons = [f"{entry.path}: {entry.detail or entry.outcome}" for entry in files if entry.path not in gone]
    named = {entry.path for entry in files}
    reasons += [f"{path}: not porter's" for path in clones.dirty(worktree) if path not in named]
    reasons += [f"{path}: not porter's, and ignored" for path in clones.hidden(worktree)]
    if worktrees.is_locked(worktree):
        reasons.append("the worktree is locked: git worktree unlock")
    own = clones.own_commits(record)
    if own:
        reasons.append(f"{record.branch} has {own} commit{'s' * (own > 1)} that porter did not make")
    return tuple(reasons)


def _retire(workspace: Workspace, record: CloneRecord) -> None:
    """Remove worktree, branch and record, in an order in which each step can be repeated."""
    forget(record.repo, workspace.pristine)
    clone = Path(record.clone)
    if clone.is_dir():
        worktrees.remove(clone, Path(record.worktree), workspace.state / f"removed-{record.repo}")
        clones.remove_branch(record)
    else:
        shutil.rmtree(record.worktree, ignore_errors=True)
    clones.forget_record(workspace, record.repo)
