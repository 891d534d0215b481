"""What a port changed in its worktrees: every file against the base commit, and who wrote it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec

from porter import clones, git
from porter.errors import WorkspaceError
from porter.records.base import from_json
from porter.records.journal import CloneRecord, StepRecord
from porter.records.plan import FilePlan, PlannedFile
from porter.records.reference import Repo
from porter.records.review import ReviewFile, ReviewRepo
from porter.workspace import Workspace

_FILE_LINES = 2000
_ALL_LINES = 40_000
_UNTRACKED = 100

_DIFF = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
_CHANGES: dict[str, Literal["created", "edited", "removed"]] = {"A": "created", "D": "removed"}


def read_repos(workspace: Workspace) -> tuple[ReviewRepo, ...]:
    """Return the worktrees of a workspace with every file that differs from the base commit."""
    planned = planned_files(workspace)
    found: list[ReviewRepo] = []
    for repo in get_args(Repo):
        try:
            record = clones.read_record(workspace, repo)
        except WorkspaceError as error:
            empty = ReviewRepo(repo=repo, clone="", worktree="", branch="", base="", commit="")
            found.append(msgspec.structs.replace(empty, problem=error.why or error.what))
            continue
        if record is not None:
            spent = sum(file.diff.count("\n") for each in found for file in each.files)
            found.append(_read_repo(workspace, record, planned.get(repo, {}), _ALL_LINES - spent))
    return tuple(found)


def planned_files(workspace: Workspace) -> dict[Repo, dict[str, PlannedFile]]:
    """Return the files of every recorded file plan, whichever phase made it."""
    planned: dict[Repo, dict[str, PlannedFile]] = {}
    for path in sorted(workspace.steps.glob("*.json")):
        try:
            plan = from_json(bytes(from_json(path.read_bytes(), StepRecord).result), FilePlan)
        except (OSError, msgspec.MsgspecError):
            continue  # another kind of result
        for file in plan.files:
            planned.setdefault(file.repo, {})[file.path] = file
    return planned


def _read_repo(
    workspace: Workspace, record: CloneRecord, planned: Mapping[str, PlannedFile], budget: int
) -> ReviewRepo:
    worktree = Path(record.worktree)
    shown = ReviewRepo(
        repo=record.repo,
        clone=record.clone,
        worktree=record.worktree,
        branch=record.branch,
        base=record.base,
        commit=record.commit,
    )
    if not (worktree / ".git").exists():
        return msgspec.structs.replace(shown, problem=f"there is no worktree at {worktree}")
    try:
        listed = git.names(worktree, "diff", *_DIFF, "--name-status", "-z", record.commit)
        unseen = git.names(worktree, "ls-files", "--others", "--exclude-standard", "-z")
        changes = {path: _CHANGES.get(kind, "edited") for kind, path in zip(*[iter(listed)] * 2, strict=True)}
        changes |= dict.fromkeys(unseen[:_UNTRACKED], "created")
        pristine, files = workspace.pristine / record.repo, []
        for path in sorted({*changes, *planned}):
            file = _read_file(record, path, changes.get(path), planned.get(path), pristine, budget)
            budget -= file.diff.count("\n")
            files.append(file)
    except WorkspaceError as error:
        return msgspec.structs.replace(shown, problem=error.why or error.what)
    return msgspec.structs.replace(shown, files=tuple(files), unseen=tuple(map(_shown, unseen)))


def _read_file(
    record: CloneRecord,
    path: str,
    change: Literal["created", "edited", "removed"] | None,
    plan: PlannedFile | None,
    pristine: Path,
    budget: int,
) -> ReviewFile:
    worktree = Path(record.worktree)
    ours = plan is not None or (pristine / path).is_file()
    by: Literal["porter", "you", "both"] = "you"
    if ours:
        edited = (pristine / path).is_file() and _bytes(worktree / path) != _bytes(pristine / path)
        by = "both" if edited else "porter"
    file = ReviewFile(
        repo=record.repo,
        path=_shown(path),
        change=change or "absent",
        by=by,
        produced_by=plan.produced_by if plan else "",
    )
    if change is None:
        return file
    lines = _diff(worktree, record.commit, path).splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("@@")), len(lines))
    kept = lines[: max(0, min(_FILE_LINES, budget))]
    return msgspec.structs.replace(
        file,
        added=sum(line.startswith("+") for line in lines[start:]),
        removed=sum(line.startswith("-") for line in lines[start:]),
        diff="".join(f"{line}\n" for line in kept),
        left_out=len(lines) - len(kept),
    )


def _diff(worktree: Path, commit: str, path: str) -> str:
    data = git.output(worktree, "diff", *_DIFF, commit, "--", path)
    if not data:  # git does not know the file
        done = git.run(worktree, "diff", *_DIFF, "--no-index", "--", "/dev/null", path, accept=(0, 1))
        data = done.stdout
    return data.decode(errors="replace")


def _shown(path: str) -> str:
    """Return a path as text that can be written: a name need not be UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
