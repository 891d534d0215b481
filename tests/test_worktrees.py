"""A worktree is made whole: from sparse clones, and also where a killed run left half of one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from porter import clones
from porter.errors import WorkspaceError
from porter.records.options import PortOptions
from porter.workspace import Workspace
from tests.clone_cases import BRANCH, FILES, half_made, ready, refused, run_remedy, snapshot
from tests.repositories import git, repository, visible, write


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return repository(tmp_path / "clone", FILES)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "work", PortOptions(source="x"))


def sparse_clone(origin: Path, target: Path, *, cone: bool) -> str:
    """Make a sparse clone at *target* that lacks the content of what it leaves out."""
    write(origin, {"secret/weights.txt": "left out\n", "secret/more.txt": "also\n"})
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "more")
    git(target.parent, "clone", "-q", "--no-local", str(origin), target.name)
    patterns = ("set", "--cone", "pkg") if cone else ("set", "--no-cone", "/*", "!/secret/")
    git(target, "sparse-checkout", *patterns)
    blob = git(target, "rev-parse", "HEAD:secret/weights.txt")
    for pack in (target / ".git" / "objects" / "pack").glob("pack-*.pack"):
        outside = target.parent / pack.name
        pack.rename(outside)
        pack.with_suffix(".idx").unlink()
        with outside.open("rb") as file:
            subprocess.run(["git", "unpack-objects", "-q"], cwd=target, stdin=file, check=True)
    loose = target / ".git" / "objects" / blob[:2] / blob[2:]
    loose.unlink()
    return blob


@pytest.mark.parametrize("cone", [False, True])
def test_a_sparse_clone_with_missing_content_gives_a_sparse_worktree(
    clone: Path, workspace: Workspace, tmp_path: Path, cone: bool
) -> None:
    blob = sparse_clone(clone, tmp_path / "sparse", cone=cone)
    missing = subprocess.run(["git", "cat-file", "-e", blob], cwd=tmp_path / "sparse", check=False)
    assert missing.returncode != 0
    before = snapshot(tmp_path / "sparse")
    worktree = Path(ready(tmp_path / "sparse", workspace).worktree)
    assert sorted(visible(worktree)) == sorted(FILES)
    assert clones.dirty(worktree) == ()
    assert git(worktree, "sparse-checkout", "list") == git(tmp_path / "sparse", "sparse-checkout", "list")
    assert snapshot(tmp_path / "sparse") == before
    assert clones.left_out(worktree, ["setup.py", "secret/weights.txt"]) == ("secret/weights.txt",)
    with pytest.raises(WorkspaceError, match=r"lacks the content of secret/weights\.txt"):
        clones.committed(worktree, "HEAD", ["secret/weights.txt"])


def test_a_kill_before_the_sparse_patterns_came_over_is_mended(
    clone: Path, workspace: Workspace, tmp_path: Path
) -> None:
    sparse_clone(clone, tmp_path / "sparse", cone=False)
    record = ready(tmp_path / "sparse", workspace)
    half_made(workspace)
    git_dir = Path(git(Path(record.worktree), "rev-parse", "--absolute-git-dir"))
    shutil.rmtree(git_dir / "info")
    (git_dir / "config.worktree").unlink()
    (git_dir / "index").unlink()
    assert ready(tmp_path / "sparse", workspace) == record
    assert sorted(visible(Path(record.worktree))) == sorted(FILES)


def test_sparse_settings_made_by_hand_are_carried_over(clone: Path, workspace: Workspace) -> None:
    git(clone, "config", "core.sparseCheckout", "true")
    write(clone / ".git" / "info", {"sparse-checkout": "/*\n!/pkg/\n"})
    git(clone, "read-tree", "-mu", "HEAD")
    worktree = Path(ready(clone, workspace).worktree)
    assert sorted(visible(worktree)) == [".gitignore", "setup.py"]


def _without_files(worktree: Path, git_dir: Path) -> None:
    (git_dir / "index").unlink()
    (worktree / "setup.py").unlink()


def _with_a_cut_off_file(worktree: Path, git_dir: Path) -> None:
    (git_dir / "index").unlink()
    (worktree / "setup.py").write_bytes(b"set")
    (worktree / "pkg" / "windows.py").write_bytes(b"")


def _with_locks(worktree: Path, git_dir: Path) -> None:
    (git_dir / "index").rename(git_dir / "index.lock")
    (git_dir / "HEAD.lock").write_bytes(b"")
    (git_dir.parents[1] / "refs" / "heads" / f"{BRANCH}.lock").write_bytes(b"")


def _only_registered(worktree: Path, git_dir: Path) -> None:
    shutil.rmtree(worktree)
    (git_dir / "locked").write_text("initializing")


def _not_registered(worktree: Path, git_dir: Path) -> None:
    shutil.rmtree(git_dir)
    shutil.rmtree(worktree)
    worktree.mkdir()


def _still_locked(worktree: Path, git_dir: Path) -> None:
    _without_files(worktree, git_dir)
    (git_dir / "locked").write_text("initializing")


def _half_registered(worktree: Path, git_dir: Path) -> None:
    shutil.rmtree(worktree / "pkg")
    for path in worktree.iterdir():
        if path.name != ".git":
            path.unlink()
    for name in ("HEAD", "index", "commondir"):
        (git_dir / name).unlink()
    (git_dir / "locked").write_text("initializing")


def _cut_off(name: str) -> Callable[[Path, Path], None]:
    """Return what a kill leaves while git writes one file of the registration: it is empty."""

    def damage(worktree: Path, git_dir: Path) -> None:
        _half_registered(worktree, git_dir)
        (git_dir / name).write_bytes(b"")

    return damage


def _registered_nowhere(worktree: Path, git_dir: Path) -> None:
    shutil.rmtree(worktree)
    for path in sorted(git_dir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (git_dir / "locked").write_text("initializing")


def _branch_gone(worktree: Path, git_dir: Path) -> None:
    shutil.rmtree(worktree)
    shutil.rmtree(git_dir)
    git(git_dir.parents[1], "branch", "-q", "-D", BRANCH)


HALF_MADE = [
    _without_files,
    _with_a_cut_off_file,
    _with_locks,
    _only_registered,
    _not_registered,
    _still_locked,
    _half_registered,
    _cut_off("HEAD"),
    _cut_off("commondir"),
    _cut_off("gitdir"),
    _registered_nowhere,
    _branch_gone,
]


@pytest.mark.parametrize("damage", HALF_MADE)
def test_what_a_kill_left_half_made_is_completed(
    clone: Path, workspace: Workspace, damage: Callable[[Path, Path], None]
) -> None:
    record = ready(clone, workspace)
    whole = visible(Path(record.worktree))
    half_made(workspace)
    damage(Path(record.worktree), Path(git(Path(record.worktree), "rev-parse", "--absolute-git-dir")))
    assert ready(clone, workspace) == record
    assert visible(Path(record.worktree)) == whole
    assert clones.dirty(Path(record.worktree)) == ()
    assert "locked" not in git(clone, "worktree", "list", "--porcelain")
    git(Path(record.worktree), "commit", "-q", "--allow-empty", "-m", "git works here")


def test_a_registration_of_another_workspace_that_was_cut_off_is_named_and_the_way_out_works(
    clone: Path, workspace: Workspace, tmp_path: Path
) -> None:
    other = Path(
        ready(clone, Workspace.create(tmp_path / "other", PortOptions(source="x")), "feature/other").worktree
    )
    registration = Path(git(other, "rev-parse", "--absolute-git-dir"))
    _cut_off("commondir")(other, registration)
    error = refused(clone, workspace)
    assert "only half registered" in error.what
    assert str(other) in error.why
    assert registration.exists()
    run_remedy(error)
    ready(clone, workspace)


def test_an_edit_in_a_half_made_worktree_is_not_lost(clone: Path, workspace: Workspace) -> None:
    worktree = Path(ready(clone, workspace).worktree)
    half_made(workspace)
    write(worktree, {"setup.py": "setup()  # mine\n", "new.py": "mine"})
    error = refused(clone, workspace)
    assert error.why == "setup.py"
    assert (worktree / "setup.py").read_text() == "setup()  # mine\n"


def test_a_branch_that_a_person_took_meanwhile_is_not_reset(clone: Path, workspace: Workspace) -> None:
    worktree = Path(ready(clone, workspace).worktree)
    half_made(workspace)
    git(worktree, "commit", "-q", "--allow-empty", "-m", "work")
    tip = git(clone, "rev-parse", BRANCH)
    refused(clone, workspace)
    assert git(clone, "rev-parse", BRANCH) == tip


def test_a_git_that_still_works_there_is_waited_for(clone: Path, workspace: Workspace) -> None:
    record = ready(clone, workspace)
    half_made(workspace)
    git_dir = Path(git(Path(record.worktree), "rev-parse", "--absolute-git-dir"))
    index, lock = git_dir / "index", git_dir / "index.lock"
    script = f"mv {index} {lock}; echo at work; read _; mv {lock} {index}"
    # The name under which the kernel lists it is what porter goes by.
    at_work = subprocess.Popen(
        ["git", "-c", f"alias.work=!{script}", "work"],
        cwd=record.worktree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert at_work.stdout is not None
    assert at_work.stdout.readline() == "at work\n"
    waiting = subprocess.Popen([sys.executable, "-c", PREPARE, str(clone), str(workspace.root)])
    time.sleep(0.5)
    at_work.communicate("\n")
    assert at_work.returncode == 0
    assert waiting.wait() == 0
    assert ready(clone, workspace) == record


PREPARE = f"""
import sys
from pathlib import Path
from porter.clones import prepare
from porter.workspace import Workspace
prepare("tao-pytorch", Path(sys.argv[1]), Workspace.open(Path(sys.argv[2])), {BRANCH!r}, "main")
"""
