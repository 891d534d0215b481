"""The one gate through which porter writes into clones."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from porter import clones
from porter.atomic import is_temporary, remove_atomic, temporary, write_atomic
from porter.clones import Version
from porter.errors import ConflictError, WorkspaceError
from porter.generate.decide import Decision, decide, fingerprint, is_settled, merge_file
from porter.records.base import Record, from_json, to_json
from porter.records.plan import Applied, Conflict, FilePlan, Pending, PlannedFile
from porter.records.reference import Repo

R = TypeVar("R")

_BYTECODE = "__pycache__"


@dataclass(frozen=True)
class Change:
    """A file, the three states that were compared, and what becomes of it.

    Attributes:
        pristine: the last render; None where there is none.
        base, working, render: the three states.
        remember: the pristine copy afterwards; None for none.
    """

    repo: Repo
    path: str
    pristine: Version | None
    base: Version | None
    working: Version | None
    render: Version | None
    remember: Version | None
    decision: Decision


def apply(
    plan: FilePlan,
    roots: Mapping[Repo, Path],
    pristine: Path,
    *,
    bases: Mapping[Repo, str] | None = None,
    dry_run: bool = False,
    keep_edited: bool = False,
    again: str = "porter resume",
) -> tuple[Applied, ...]:
    """Bring the worktrees to what *plan* says, keeping what people have written.

    The plan is the whole plan of its repositories: what an earlier one put there and this one does not
    name is taken back. Either everything is done or, with a conflict, nothing; a run that is killed on the
    way is completed by the next one. The state lies beside *pristine*: ``applying.json`` while changes are
    made; ``conflicts/`` and ``conflicts.json`` while a person has something to settle.

    Args:
        plan: files with their whole new text.
        roots: worktree by repo.
        pristine: folder of the last render of every file, by repo.
        bases: commit by repo that the port began from; HEAD where it is not given.
        dry_run: change nothing; conflicts are then an outcome.
        keep_edited: a file that the plan no longer names stays where a person has edited it; it is
            otherwise a conflict.
        again: the command that goes on once conflicts are settled.

    Raises:
        ConflictError: names every file that a person has to settle.
        WorkspaceError: the plan meets something that porter does not write over.
    """
    gate = _Gate(roots, pristine, bases or {}, keep_edited)
    changes = gate.examine(plan)
    if not dry_run:
        conflicts = [change for change in changes if change.decision.outcome == "conflict"]
        if conflicts:
            raise gate.keep_conflicts(changes, conflicts, again)
        gate.carry_out(plan, changes)
    return tuple(
        Applied(
            repo=change.repo, path=change.path, outcome=change.decision.outcome, detail=change.decision.detail
        )
        for change in changes
    )


def forget(repo: Repo, pristine: Path) -> None:
    """Drop every record of what was written into *repo*: its worktree is gone, or about to be."""
    gate = _Gate({repo: pristine}, pristine, {}, False)
    gate.close()
    shutil.rmtree(pristine / repo, ignore_errors=True)


class _Gate:
    def __init__(
        self, roots: Mapping[Repo, Path], pristine: Path, bases: Mapping[Repo, str], keep_edited: bool
    ) -> None:
        self.roots = roots
        self.keep_edited = keep_edited
        self.pristine = pristine
        self.bases = bases
        self.applying = pristine.parent / "applying.json"
        self.conflicts = pristine.parent / "conflicts"
        self.conflict_list = pristine.parent / "conflicts.json"
        begun = _read_all(self.applying, Pending)
        unsettled = _read_all(self.conflict_list, Conflict)
        self.pending = {(entry.repo, entry.path): entry for entry in begun if entry.repo in roots}
        self.unsettled = {(entry.repo, entry.path): entry for entry in unsettled if entry.repo in roots}
        # Another plan, of repositories that this one does not touch, may be open beside it.
        self.other_pending = [entry for entry in begun if entry.repo not in roots]
        self.other_unsettled = [entry for entry in unsettled if entry.repo not in roots]

    def examine(self, plan: FilePlan) -> list[Change]:
        """Decide for every file of the plan and of the last one, in order of repo and path."""
        changes = []
        for repo in sorted(self.roots):
            planned = {file.path: file for file in plan.files if file.repo == repo}
            changes += self._examine_repo(repo, planned)
        if len(changes) < len(plan.files):
            raise ValueError("the plan names a file twice, or a repository without a worktree")
        return changes

    def _examine_repo(self, repo: Repo, planned: Mapping[str, PlannedFile]) -> list[Change]:
        root = self.roots[repo]
        rendered = _files_below(self.pristine / repo)
        paths = sorted({*planned, *rendered})
        for path in paths:
            check_path(root, path)
        if paths and not (self.pristine / repo).is_dir():
            self._refuse_unexplained(repo, paths)
        head = clones.committed(root, self.bases.get(repo, "HEAD"), paths)
        absent = clones.left_out(root, paths)
        if absent:
            in_root, names = shlex.join(["git", "-C", str(root)]), shlex.join(absent)
            raise WorkspaceError(
                f"the port needs {', '.join(absent)}, which the sparse checkout of {repo} leaves out",
                next_step=f"bring it in: {in_root} update-index --no-skip-worktree -- {names} "
                f"&& {in_root} checkout-index -- {names}",
            )
        return [self._examine_file(repo, path, planned.get(path), head.get(path)) for path in paths]

    def _refuse_unexplained(self, repo: Repo, paths: Iterable[str]) -> None:
        begun = {path for owner, path in self.pending if owner == repo}
        explained = {name for path in {*paths, *begun} for name in (path, _temporary_name(path))}
        unexplained = [path for path in clones.dirty(self.roots[repo]) if path not in explained]
        if unexplained:
            shown = ", ".join(unexplained[:5]) + (", ..." if len(unexplained) > 5 else "")
            raise WorkspaceError(
                f"{self.roots[repo]} has changes that are not porter's",
                why=shown,
                next_step=f"move or undo them: git -C {shlex.quote(str(self.roots[repo]))} status shows them",
            )

    def _examine_file(self, repo: Repo, path: str, file: PlannedFile | None, head: Version | None) -> Change:
        stored = _read(self.pristine / repo / path)
        working = _read(self.roots[repo] / path)
        pristine = self._last_render(repo, path, stored, working)
        if file is None or file.action == "remove":
            base, render, remember = pristine, head, None
            if pristine is None:  # nothing of porter's is there to take back
                base = render = working
        else:
            _check_place(repo, file, head, pristine)
            edited = head if file.action == "edit" else None
            render = Version(
                file.content.encode(), file.executable or (edited is not None and edited.executable)
            )
            base, remember = pristine or edited, render
        decision = decide(base, working, render, merge_file)
        if self.keep_edited and render is None and decision.outcome == "conflict":
            decision, remember = Decision("kept", working, "edited by you"), pristine
        change = Change(repo, path, stored, base, working, render, remember, decision)
        return self._resumed(change) or self._settled(change) or change

    def _last_render(
        self, repo: Repo, path: str, stored: Version | None, working: Version | None
    ) -> Version | None:
        """Return the last render, also where a killed run wrote the file and not its copy any more.

        Otherwise another plan than the killed one would take porter's own change for that of a person.
        """
        begun = self.pending.get((repo, path))
        if begun is None or begun.result != fingerprint(working):
            return stored
        if not begun.render:
            return None
        return working if begun.render == begun.result else stored

    def _resumed(self, change: Change) -> Change | None:
        """Take up a change whose working file is written already: merging it again could differ."""
        begun = self.pending.get((change.repo, change.path))
        if begun is None or begun.result != fingerprint(change.working):
            return None
        if begun.render != fingerprint(change.remember):
            return None
        return replace(change, decision=Decision(begun.outcome, change.working, begun.detail))

    def _settled(self, change: Change) -> Change | None:
        """Take what a person made of a conflict, as long as the conflict is still the same one."""
        if change.decision.outcome != "conflict" or not self._is_known(change):
            return None
        where = self.conflicts / change.repo / change.path
        text = _read(where)
        if text is None:
            deleted = Decision("kept", None, "deleted by you")
            return replace(change, decision=deleted) if change.working is None else None
        if not is_settled(text.data):
            return None
        mode = change.render or change.working
        result = Version(text.data, mode is not None and mode.executable)
        return replace(change, decision=Decision("merged", result, "settled by you"))

    def _is_known(self, change: Change) -> bool:
        return self.unsettled.get((change.repo, change.path)) == _conflict(change)

    def keep_conflicts(
        self, changes: Sequence[Change], conflicts: Sequence[Change], again: str
    ) -> ConflictError:
        """Put both sides of every conflict where the person can settle it; return what to raise."""
        for change in conflicts:
            if not self._is_known(change):
                write_atomic(self.conflicts / change.repo / change.path, change.decision.text)
        settled = [change for change in changes if change not in conflicts and self._is_known(change)]
        records = [_conflict(change) for change in (*conflicts, *settled)]
        write_atomic(self.conflict_list, to_json([*self.other_unsettled, *records]))
        count = f"{len(conflicts)} file{'s' * (len(conflicts) > 1)}"
        files = "\n      ".join(str(self.conflicts / change.repo / change.path) for change in conflicts)
        deleted = any(change.working is None for change in conflicts)
        hint = " (remove one to leave its file deleted)" if deleted else ""
        return ConflictError(
            f"{count} of the port cannot be merged with what you wrote; nothing was changed",
            why="; ".join(f"{change.repo}/{change.path}: {change.decision.detail}" for change in conflicts),
            next_step=f"edit these until no conflict markers are left{hint}, then {again}:\n      {files}",
        )

    def carry_out(self, plan: FilePlan, changes: Sequence[Change]) -> None:
        """Write what was decided; the working file first, its pristine copy last."""
        self._sweep(changes)
        open_changes = [
            change
            for change in changes
            if change.working != change.decision.result or change.pristine != change.remember
        ]
        if open_changes:
            entries = [*self.other_pending, *(_pending(change) for change in open_changes)]
            write_atomic(self.applying, to_json(entries))
        for change in open_changes:
            root = self.roots[change.repo]
            self._write(root, change.path, change.working, change.decision.result)
            if change.remember is None and change.decision.result is None:
                clones.drop_from_diff(root, [change.path])
            self._write(self.pristine / change.repo, change.path, change.pristine, change.remember)
        for repo, root in self.roots.items():
            mine = [change for change in changes if change.repo == repo]
            created = {file.path for file in plan.files if file.repo == repo and file.action == "create"}
            clones.show_in_diff(root, [c.path for c in mine if c.path in created and c.decision.result])
        self.close()

    def close(self) -> None:
        """Drop what was open: everything is written."""
        _write_list(self.applying, self.other_pending)
        _write_list(self.conflict_list, self.other_unsettled)
        for repo in self.roots:
            shutil.rmtree(self.conflicts / repo, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.conflicts.rmdir()

    def _sweep(self, changes: Sequence[Change]) -> None:
        for repo, path in sorted({*((change.repo, change.path) for change in changes), *self.pending}):
            for folder in (self.roots[repo], self.pristine / repo):
                draft = temporary(folder / path)
                if draft.exists() or draft.is_symlink():
                    draft.unlink()

    def _write(self, root: Path, path: str, old: Version | None, new: Version | None) -> None:
        where = root / path
        if new == old:
            return
        if new is None:
            remove_atomic(where)
            _remove_empty_folders(root, where.parent)
        else:
            write_atomic(where, new.data, mode=_mode(where, new.executable))


def check_path(root: Path, path: str) -> None:
    """Raise a WorkspaceError unless *path* names a place for a file below *root*, and no link leads out."""
    parts = PurePosixPath(path).parts
    why = ""
    if not path or path.startswith("/") or "/".join(parts) != path or ".." in parts:
        why = "it is not a plain path below the clone"
    elif not path.isprintable() or "\\" in path:
        why = "it holds characters that no file of a port has"
    elif any(part.casefold() == ".git" for part in parts):
        why = "it belongs to git"
    else:
        place = root
        for part in parts[:-1]:
            place /= part
            if place.is_symlink():
                why = f"{place} is a symbolic link"
            elif place.exists() and not place.is_dir():
                why = f"{place} is not a folder"
        target = root / path
        if target.is_symlink() or (target.exists() and not target.is_file()):
            why = f"{target} is not a plain file"
    if why:
        raise WorkspaceError(
            f"porter does not write {path!r} in {root}",
            why=why,
            next_step="move it away, or choose another --name",
        )


def _check_place(repo: Repo, file: PlannedFile, head: Version | None, pristine: Version | None) -> None:
    if file.action == "create" and head is not None and pristine is None:
        raise WorkspaceError(
            f"{repo} already has {file.path}, which the port would create",
            next_step="choose another --name, or another --base",
        )
    if file.action == "edit" and head is None:
        raise WorkspaceError(
            f"{repo} has no {file.path}, which the port must edit",
            why="the commit that the port began from lacks it",
            next_step="choose another --base",
        )


def _conflict(change: Change) -> Conflict:
    return Conflict(
        repo=change.repo,
        path=change.path,
        base=fingerprint(change.base),
        working=fingerprint(change.working),
        render=fingerprint(change.render),
    )


def _pending(change: Change) -> Pending:
    if change.decision.outcome == "conflict":
        raise ValueError(f"{change.path} is in conflict")
    return Pending(
        repo=change.repo,
        path=change.path,
        outcome=change.decision.outcome,
        detail=change.decision.detail,
        result=fingerprint(change.decision.result),
        render=fingerprint(change.remember),
    )


def _files_below(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and not is_temporary(path))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _temporary_name(path: str) -> str:
    return temporary(Path(path)).as_posix()


def _read(path: Path) -> Version | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return Version(data, bool(path.stat().st_mode & stat.S_IXUSR))


def _mode(path: Path, executable: bool) -> int | None:
    """Return the permission bits to write with; None keeps what is there, or follows the umask."""
    old = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    if executable:
        readable = old or 0o644
        return readable | (readable & 0o444) >> 2
    return None if old is None else old & ~0o111


def _remove_empty_folders(root: Path, folder: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != root:
            if [entry.name for entry in folder.iterdir()] == [_BYTECODE]:
                shutil.rmtree(folder / _BYTECODE)
            folder.rmdir()
            folder = folder.parent


def _write_list(path: Path, entries: Sequence[Record]) -> None:
    if entries:
        write_atomic(path, to_json(entries))
    else:
        remove_atomic(path)


def _read_all(path: Path, kind: type[R]) -> tuple[R, ...]:
    """Read a list of records; one that is damaged tells nothing, and the files are compared anew."""
    try:
        return from_json(path.read_bytes(), tuple[kind, ...])  # type: ignore[valid-type]
    except (FileNotFoundError, msgspec.MsgspecError):
        return ()
