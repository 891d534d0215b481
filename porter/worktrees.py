"""A git worktree in the workspace: made whole, also where a killed run left half of one."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path

from porter import git
from porter.errors import WorkspaceError

_PATIENCE_SECONDS = 10.0


def is_on_branch(path: Path, branch: str, common: Path) -> bool:
    """Say whether *path* is the root of a worktree of the repository *common* with *branch* checked out."""
    return _is_worktree(path, common) and git.ask(path, "symbolic-ref", "HEAD") == f"refs/heads/{branch}"


def refuse_occupied(path: Path) -> None:
    """Raise a WorkspaceError where *path* holds more than the beginning of a worktree."""
    foreign = _entries(path)
    if foreign:
        raise WorkspaceError(
            f"{path} is in the way of the worktree that porter makes there",
            why=f"it holds {', '.join(foreign[:5])}",
            next_step=f"move it away: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}",
        )


def make(clone: Path, common: Path, path: Path, branch: str, commit: str) -> None:
    """Make the worktree *path* of *clone*, with *branch* set to *commit* checked out.

    Whatever part of it a killed run has made is completed; *path* must not hold anything else. A sparse
    clone gives its patterns to the worktree before the first file is checked out, because the content of
    what it leaves out may be missing from the clone.

    Raises:
        WorkspaceError: git refuses, or *path* holds files that no checkout of *commit* puts there.
    """
    if not _is_worktree(path, common):
        refuse_occupied(path)
        (path / ".git").unlink(missing_ok=True)
        _settle_cut_off(common, path)
        # Forced twice: a registration that a killed `git worktree add` left behind is locked.
        git.output(
            clone, "worktree", "add", "--force", "--force", "--no-checkout", "--detach", str(path), commit
        )
    git_dir = Path(git.line(path, "rev-parse", "--absolute-git-dir"))
    for name in ("index.lock", "HEAD.lock", "config.worktree.lock"):
        release_lock(git_dir / name, path)
    ref = f"refs/heads/{branch}"
    release_lock(common / f"{ref}.lock", path)
    git.output(path, "update-ref", "-m", "porter: begin", ref, commit)
    git.output(path, "symbolic-ref", "HEAD", ref)
    _carry_sparse_patterns(clone, path, git_dir)
    _refuse_edits(path)
    git.output(path, "reset", "--hard", "--quiet", commit)
    git.ask(clone, "worktree", "unlock", str(path))


def is_locked(path: Path) -> bool:
    """Say whether a person has locked the worktree *path*."""
    return Path(git.line(path, "rev-parse", "--path-format=absolute", "--git-path", "locked")).exists()


def remove(clone: Path, path: Path, trash: Path) -> None:
    """Remove the worktree *path* of *clone* with all that is in it; repeat it after a kill.

    Args:
        clone: only forgets the worktree.
        path: it is gone at once, before the first file is.
        trash: a folder of porter's on the same file system.
    """
    shutil.rmtree(trash, ignore_errors=True)
    if path.exists():
        path.rename(trash)
    known = git.line(clone, "worktree", "list", "--porcelain").splitlines()
    if f"worktree {path}" in known:
        git.output(clone, "worktree", "remove", "--force", "--force", str(path))
    shutil.rmtree(trash, ignore_errors=True)


def release_lock(lock: Path, where: Path) -> None:
    """Remove a lock file that a killed git left; wait while a git that works in *where* may hold it.

    Raises:
        WorkspaceError: git is still at work there after a while, or nobody can tell.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while lock.exists():
        if _git_works_in(where) is False:
            lock.unlink(missing_ok=True)
            return
        if time.monotonic() > until:
            raise WorkspaceError(
                f"git holds a lock in {where}",
                why=f"{lock} is there, and a git command may still be running",
                next_step=f"let it end; if there is none: rm {shlex.quote(str(lock))}",
            )
        time.sleep(0.05)


def _git_works_in(where: Path) -> bool | None:
    """Say whether a git process has its working folder in *where*; None where /proc does not tell."""
    processes = Path("/proc")
    if not (processes / "self" / "comm").exists():
        return None
    for process in processes.glob("[0-9]*"):
        try:
            name, folder = (process / "comm").read_text(), (process / "cwd").readlink()
        except OSError:
            continue
        if name.startswith("git") and folder.is_relative_to(where):
            return True
    return False


def _is_worktree(path: Path, common: Path) -> bool:
    if not (path / ".git").is_file():
        return False
    answer = git.ask(path, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
    return answer == f"{path}\n{common}"


def _settle_cut_off(common: Path, path: Path) -> None:
    """Remove the registration of *path* if git was killed while writing it; refuse where it is another's.

    With one whose commondir is empty, git fails in every command that looks at all worktrees.
    """
    for registration in sorted((common / "worktrees").glob("*")):
        names, shared = registration / "gitdir", registration / "commondir"
        if not shared.is_file() or shared.read_bytes().strip():
            continue
        owner = names.read_text(errors="replace").strip() if names.is_file() else ""
        if owner != str(path / ".git"):
            raise WorkspaceError(
                f"a worktree of {common} is only half registered, and git stops at it",
                why=f"a git that was killed left {shared} empty; it was for {owner or 'a place not known'}",
                next_step=f"if no git is at work there: rm -r {shlex.quote(str(registration))}",
            )
        shutil.rmtree(registration)


def _entries(path: Path) -> list[str]:
    if not path.is_dir():
        return [path.name] if path.exists() or path.is_symlink() else []
    return sorted(entry.name for entry in path.iterdir() if entry.name != ".git" or entry.is_dir())


def _carry_sparse_patterns(clone: Path, path: Path, git_dir: Path) -> None:
    if git.ask(clone, "config", "--type=bool", "core.sparseCheckout") != "true":
        return
    patterns = Path(
        git.line(clone, "rev-parse", "--path-format=absolute", "--git-path", "info/sparse-checkout")
    )
    if not patterns.is_file():
        return
    target = git_dir / "info" / "sparse-checkout"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(patterns.read_bytes())
    if git.ask(clone, "config", "--type=bool", "extensions.worktreeConfig") == "true":
        cone = git.ask(clone, "config", "--type=bool", "core.sparseCheckoutCone") or "false"
        git.output(path, "config", "--worktree", "core.sparseCheckout", "true")
        git.output(path, "config", "--worktree", "core.sparseCheckoutCone", cone)


def _refuse_edits(path: Path) -> None:
    """A killed checkout leaves whole files and one that is cut off; any other content is somebody's work."""
    if not _entries(path):
        return
    tree = _tree(path)
    there = [name for name in tree if (path / name).is_file() and not (path / name).is_symlink()]
    hashes = git.output(
        path, "hash-object", "--stdin-paths", data=b"".join(os.fsencode(n) + b"\n" for n in there)
    )
    edited = [
        name
        for name, found in zip(there, hashes.decode().split(), strict=True)
        if found != tree[name]
        and not git.output(path, "cat-file", "--filters", f"HEAD:{name}").startswith(
            (path / name).read_bytes()
        )
    ]
    if edited:
        raise WorkspaceError(
            f"{path} was only half made, and holds changes that porter did not make",
            why=", ".join(sorted(edited)[:5]),
            next_step=f"move it away: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}",
        )


def _tree(path: Path) -> dict[str, str]:
    """Return the object name of every file of HEAD, by path; a path that spans lines is left out."""
    entries = (
        entry.split("\t", 1) for entry in git.names(path, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    )
    return {name: meta.split()[2] for meta, name in entries if "\n" not in name}
