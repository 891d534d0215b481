"""The user's clones of the TAO repositories, and the worktree that a workspace has of each.

porter adds one worktree and one branch to a clone, and touches nothing else of it.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from porter import cloning, git, worktrees
from porter.atomic import remove_atomic, write_atomic
from porter.errors import WorkspaceError
from porter.records.base import from_json, to_json
from porter.records.journal import CloneRecord
from porter.records.reference import Repo
from porter.workspace import Workspace

_CACHES = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


@dataclass(frozen=True)
class Version:
    """The content of a file and its executable bit."""

    data: bytes
    executable: bool = False


def locate(repo: Repo, given: str | None) -> Path:
    """Return the user's clone of *repo*: the one given, else the one in porter's cache.

    Raises:
        WorkspaceError: neither is there.
    """
    if given:
        return Path(given).expanduser().resolve()
    cached = cloning.place(repo)
    if cached.is_dir():
        return cached.resolve()
    raise WorkspaceError(
        f"there is no clone of {repo}",
        why=f"--{repo} is not given, and {cached} is not there",
        next_step=cloning.ways_out(repo),
    )


def is_at_hand(repo: Repo) -> bool:
    """Return whether porter's cache has a clone of *repo*."""
    return cloning.place(repo).is_dir()


def prepare(repo: Repo, user_clone: Path, workspace: Workspace, branch: str, base: str) -> CloneRecord:
    """Make the worktree of one clone on its own branch, or find it as it was made before.

    Args:
        repo: which of the TAO repositories it is.
        user_clone: a clone, bare or not, sparse or not.
        workspace: gets the worktree as ``<workspace>/<repo>``.
        branch: local branch to make; it must be new to the clone.
        base: branch, tag, branch of ``origin`` or commit to start from.

    Raises:
        WorkspaceError: the clone, the branch or the place of the worktree is not fit for it.
    """
    path = workspace.clone_path(repo)
    clone, common = _repository(user_clone, repo, workspace)
    record = read_record(workspace, repo)
    if record is None:
        worktrees.refuse_occupied(path)
        commit = resolve(clone, base)
        _check_new_branch(clone, path, branch, commit)
        record = CloneRecord(
            repo=repo,
            clone=str(clone),
            worktree=str(path),
            branch=branch,
            base=base,
            commit=commit,
            state="making",
        )
    else:
        _check_same_request(record, path, branch, base)
        if record.state == "ready" and path.exists():
            _check_in_use(record, path, common)
            return record
        _check_nothing_committed(record, clone)
        if record.state == "ready":
            # The files are gone with the worktree; copies that outlive them would read as deletions by hand.
            shutil.rmtree(workspace.pristine / repo, ignore_errors=True)
        record = msgspec.structs.replace(record, clone=str(clone), state="making")
    _save(workspace, record)
    worktrees.make(clone, common, path, branch, record.commit)
    record = msgspec.structs.replace(record, state="ready")
    _save(workspace, record)
    return record


def read_record(workspace: Workspace, repo: Repo) -> CloneRecord | None:
    """Return the record of a worktree; None where there is none.

    Raises:
        WorkspaceError: the record is damaged.
    """
    path = _record_file(workspace, repo)
    try:
        return from_json(path.read_bytes(), CloneRecord)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise WorkspaceError(
            f"porter's record of {repo} cannot be read",
            why=f"{path}: {error}",
            next_step="start again with another --workspace and --branch",
        ) from error


def dirty(worktree: Path) -> tuple[str, ...]:
    """Return the paths that differ from HEAD: changed, new and not ignored, or gone."""
    listed = git.names(worktree, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return tuple(sorted(entry[3:] for entry in listed))


def hidden(worktree: Path) -> tuple[str, ...]:
    """Return what :func:`dirty` does not show: ignored files, and those that git was told to skip.

    Caches are left out: tools write them anew by themselves, as Python its bytecode.
    """
    ignored = git.names(worktree, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
    found = {path for path in ignored if not _CACHES.intersection(Path(path).parts)}
    for entry in git.names(worktree, "ls-files", "-v", "-z"):
        tag, path = entry[0], entry[2:]
        if tag.islower() or (tag == "S" and (worktree / path).exists()):
            found.add(path)
    return tuple(sorted(found))


def own_commits(record: CloneRecord) -> int:
    """Return how many commits a person has made on the branch of the port."""
    clone = Path(record.clone)
    if git.ask(clone, "rev-parse", "--verify", "--quiet", f"refs/heads/{record.branch}") is None:
        return 0
    return _own_commits(clone, record.branch, record.commit)


def remove_branch(record: CloneRecord) -> None:
    """Remove the branch of the port, unless it has commits of a person or is checked out somewhere."""
    clone, ref = Path(record.clone), f"refs/heads/{record.branch}"
    tip = git.ask(clone, "rev-parse", "--verify", "--quiet", ref)
    if tip is not None and not own_commits(record) and _worktree_of(clone, record.branch) is None:
        common = Path(git.line(clone, "rev-parse", "--path-format=absolute", "--git-common-dir"))
        worktrees.release_lock(common / f"{ref}.lock", clone)
        git.output(clone, "update-ref", "-d", ref, tip)


def forget_record(workspace: Workspace, repo: Repo) -> None:
    """Remove the record of a worktree."""
    remove_atomic(_record_file(workspace, repo))


def check_in_use(record: CloneRecord) -> None:
    """Raise a WorkspaceError unless a worktree is the one of *record*, on its branch."""
    clone = Path(record.clone)
    found = None
    if clone.is_dir():
        found = git.ask(clone, "rev-parse", "--path-format=absolute", "--git-common-dir")
    _check_in_use(record, Path(record.worktree), Path(found) if found else clone / ".git")


def committed(worktree: Path, commit: str, paths: Sequence[str]) -> dict[str, Version]:
    """Return those of *paths* that *commit* has, as a checkout would write them.

    Raises:
        WorkspaceError: one is not a plain file, or the clone lacks its content.
    """
    found = {}
    for entry in git.names(worktree, "ls-tree", "-z", "--full-tree", commit, "--", *paths) if paths else ():
        meta, name = entry.split("\t", 1)
        mode, kind, _ = meta.split()
        if kind != "blob" or mode == "120000":
            raise WorkspaceError(
                f"{name} is not a plain file in {worktree}",
                why="porter neither replaces nor edits folders, links and submodules",
                next_step="choose another --name, or another --base",
            )
        content = git.run(worktree, "cat-file", "--filters", f"{commit}:{name}", accept=range(256))
        if content.returncode != 0:
            raise WorkspaceError(
                f"the clone lacks the content of {name}",
                why=content.stderr.decode(errors="replace").strip(),
                next_step="use a full clone: a partial or sparse one may leave content out",
            )
        found[name] = Version(content.stdout, mode == "100755")
    return found


def left_out(worktree: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of *paths* that the sparse checkout leaves out of the worktree."""
    listed = git.names(worktree, "ls-files", "-t", "-z", "--", *paths) if paths else ()
    return tuple(
        entry[2:] for entry in listed if entry.startswith("S ") and not (worktree / entry[2:]).exists()
    )


def show_in_diff(worktree: Path, created: Sequence[str]) -> None:
    """Have ``git diff`` show new files; nothing is staged."""
    known = set(git.names(worktree, "ls-files", "-z", "--", *created)) if created else set()
    new = [path for path in created if path not in known]
    if new:
        _release_index(worktree)
        git.output(worktree, "add", "--intent-to-add", "--force", "--sparse", "--", *new)


def drop_from_diff(worktree: Path, removed: Sequence[str]) -> None:
    """Take back :func:`show_in_diff` for files that are gone; what is committed shows as deleted."""
    if not removed:
        return
    known = set(git.names(worktree, "ls-files", "-z", "--", *removed))
    known -= set(git.names(worktree, "ls-tree", "-z", "--name-only", "--full-tree", "HEAD", "--", *removed))
    if known:
        _release_index(worktree)
        data = b"".join(os.fsencode(name) + b"\0" for name in sorted(known))
        git.output(worktree, "update-index", "--force-remove", "-z", "--stdin", data=data)


def _release_index(worktree: Path) -> None:
    git_dir = Path(git.line(worktree, "rev-parse", "--absolute-git-dir"))
    worktrees.release_lock(git_dir / "index.lock", worktree)


def _record_file(workspace: Workspace, repo: Repo) -> Path:
    return workspace.clones / f"{repo}.json"


def _save(workspace: Workspace, record: CloneRecord) -> None:
    write_atomic(_record_file(workspace, record.repo), to_json(record))


def _repository(user_clone: Path, repo: Repo, workspace: Workspace) -> tuple[Path, Path]:
    """Return the root of the user's clone and its common git folder."""
    clone = user_clone.expanduser().resolve()
    if not clone.is_dir():
        raise WorkspaceError(
            f"there is no folder {clone}", next_step=f"give the path of a clone: --{repo} PATH"
        )
    asked = git.run(
        clone,
        "rev-parse",
        "--path-format=absolute",
        "--git-common-dir",
        "--is-bare-repository",
        accept=range(256),
    )
    if asked.returncode != 0:
        raise WorkspaceError(
            f"{clone} is not a git repository that git reads",
            why=asked.stderr.decode(errors="replace").strip(),
            next_step=f"give the path of a clone: --{repo} PATH",
        )
    common, bare = asked.stdout.decode(errors="surrogateescape").splitlines()
    root = clone if bare == "true" else Path(git.ask(clone, "rev-parse", "--show-toplevel") or common)
    if root != clone:
        raise WorkspaceError(
            f"{clone} is not a clone by itself: it is a part of {root}",
            next_step=f"give the root of a clone of {repo}: --{repo} PATH",
        )
    if workspace.root.is_relative_to(clone):
        raise WorkspaceError(
            f"the workspace {workspace.root} lies inside the clone {clone}",
            why="the port would show up in your own checkout",
            next_step="choose a --workspace outside of it",
        )
    return clone, Path(common)


def _check_same_request(record: CloneRecord, path: Path, branch: str, base: str) -> None:
    for name, old, new in (
        ("worktree", record.worktree, str(path)),
        ("branch", record.branch, branch),
        ("base", record.base, base),
    ):
        if old != new:
            raise WorkspaceError(
                f"this workspace already has {record.repo} with another {name}",
                why=f"it is {old}, and {new} is asked for",
                next_step=f"go on with {old}, or start a port in another --workspace",
            )


def _check_in_use(record: CloneRecord, path: Path, common: Path) -> None:
    if worktrees.is_on_branch(path, record.branch, common):
        return
    where, clone = shlex.quote(str(path)), shlex.quote(str(common))
    if not (path / ".git").exists():
        raise WorkspaceError(
            f"{path} is not the worktree that porter made there",
            next_step=f"move it away: mv {where} {shlex.quote(f'{path}.old')}",
        )
    head = git.ask(path, "symbolic-ref", "--short", "HEAD")
    if head is None and git.ask(path, "rev-parse", "HEAD") is None:
        raise WorkspaceError(
            f"git cannot find the clone that {path} belongs to",
            why=f"it was made from {record.clone}",
            next_step=f"if the clone was moved: git --git-dir={clone} worktree repair {where}",
        )
    if head != record.branch:
        raise WorkspaceError(
            f"{path} is not on the branch of the port",
            why=f"it is on {head or 'no branch'}, the port on {record.branch}",
            next_step=f"git -C {where} switch {shlex.quote(record.branch)}",
        )
    raise WorkspaceError(
        f"{path} belongs to another clone than the one given",
        why=f"it was made from {record.clone}",
        next_step=f"give --{record.repo} {shlex.quote(record.clone)}",
    )


def _check_nothing_committed(record: CloneRecord, clone: Path) -> None:
    tip = git.ask(clone, "rev-parse", "--verify", "--quiet", f"refs/heads/{record.branch}")
    if tip is not None and _own_commits(clone, record.branch, record.commit):
        raise WorkspaceError(
            f"the worktree {record.worktree} is gone, and its branch has commits that porter did not make",
            why=f"{record.branch} is at {tip[:12]}, the port began at {record.commit[:12]}",
            next_step=f"bring it back: git -C {shlex.quote(str(clone))} worktree add --force "
            f"{shlex.quote(record.worktree)} {shlex.quote(record.branch)}",
        )


def _own_commits(clone: Path, branch: str, base: str) -> int:
    return int(git.line(clone, "rev-list", "--count", f"{base}..refs/heads/{branch}"))


def resolve(clone: Path, base: str) -> str:
    """Return the commit that *base* names: a branch, a tag, a branch of ``origin``, or a commit.

    Raises:
        WorkspaceError: there is none of that name; names those that there are.
    """
    refs = _refs(clone)
    for ref in (
        f"refs/heads/{base}",
        f"refs/tags/{base}",
        f"refs/remotes/origin/{base}",
        f"refs/remotes/{base}",
    ):
        if ref in refs:
            return git.line(clone, "rev-parse", "--verify", f"{ref}^{{commit}}")
    if re.fullmatch(r"[0-9a-f]{7,64}", base):
        commit = git.ask(clone, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
        if commit is not None:
            return commit
    names = sorted({ref.split("/", 2)[2].removeprefix("origin/") for ref in refs} - {"HEAD"})
    shown = difflib.get_close_matches(base, names, n=5) or names[:12]
    raise WorkspaceError(
        f"{clone} has no branch or tag {base!r} to start from",
        why=f"it has {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"
        if names
        else "it has no commit",
        next_step=f"give one of them: --base {shlex.quote(shown[0])}"
        if names
        else "fetch, or give another clone",
    )


def _refs(clone: Path) -> set[str]:
    listed = git.line(clone, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags", "refs/remotes")
    return set(listed.splitlines())


def _check_new_branch(clone: Path, path: Path, branch: str, commit: str) -> None:
    where, quoted = shlex.quote(str(clone)), shlex.quote(branch)
    if git.ask(clone, "check-ref-format", "--branch", branch) != branch:
        raise WorkspaceError(f"{branch!r} is not a name for a branch", next_step="give another --branch")
    heads = {ref.removeprefix("refs/heads/") for ref in _refs(clone) if ref.startswith("refs/heads/")}
    nested = sorted(head for head in heads if head.startswith(f"{branch}/") or branch.startswith(f"{head}/"))
    if nested:
        raise WorkspaceError(
            f"{clone} cannot have a branch {branch} beside {nested[0]}", next_step="give another --branch"
        )
    if branch not in heads:
        return
    holder = _worktree_of(clone, branch)
    own = _own_commits(clone, branch, commit)
    if holder == path and not path.exists() and not own:
        return  # a workspace stood here before and was removed by hand
    remedy = f"git -C {where} branch {'-D' if own else '-d'} {quoted}"
    if holder == clone:
        remedy = f"git -C {where} switch OTHER-BRANCH && {remedy}"
    elif holder is not None:
        remedy = f"git -C {where} worktree remove {shlex.quote(str(holder))} && {remedy}"
    raise WorkspaceError(
        f"{clone} already has a branch {branch} that this workspace did not make",
        why="; ".join(
            [f"it is checked out in {holder}"] * (holder is not None)
            + [f"it has {own} commit{'s' * (own > 1)} that the base lacks"] * bool(own)
        ),
        next_step=f"give another --branch, or, if nobody needs it: {remedy}",
    )


def _worktree_of(clone: Path, branch: str) -> Path | None:
    current = None
    for entry in git.line(clone, "worktree", "list", "--porcelain").splitlines():
        key, _, value = entry.partition(" ")
        if key == "worktree":
            current = Path(value)
        elif key == "branch" and value == f"refs/heads/{branch}":
            return current
    return None
