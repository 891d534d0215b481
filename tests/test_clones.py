from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from porter import clones
from porter.errors import WorkspaceError
from porter.records.options import PortOptions
from porter.workspace import Workspace
from tests.clone_cases import BRANCH, FILES, ready, refused, run_remedy, snapshot
from tests.repositories import git, repository, visible, write


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return repository(tmp_path / "clone", FILES)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "work", PortOptions(source="x"))


def test_the_worktree_has_the_base_on_its_own_branch_and_the_clone_stays_as_it_is(
    clone: Path, workspace: Workspace
) -> None:
    write(clone, {"setup.py": "a person is at work here\n", "notes.txt": "mine"})
    before = snapshot(clone)
    record = ready(clone, workspace)
    worktree = workspace.root / "tao-pytorch"
    assert record.worktree == str(worktree)
    assert record.commit == git(clone, "rev-parse", "main")
    assert git(worktree, "branch", "--show-current") == BRANCH
    assert {name: data for name, (data, _) in visible(worktree).items()} == {
        name: content if isinstance(content, bytes) else content.encode() for name, content in FILES.items()
    }
    assert clones.dirty(worktree) == ()
    assert snapshot(clone) == before
    assert git(clone, "branch", "--show-current") == "main"


def test_preparing_again_changes_nothing(clone: Path, workspace: Workspace) -> None:
    first = ready(clone, workspace)
    write(Path(first.worktree), {"setup.py": "edited\n"})
    assert ready(clone, workspace) == first
    assert clones.dirty(Path(first.worktree)) == ("setup.py",)


def test_line_ends_are_those_of_the_repository_whatever_the_user_has_set(
    clone: Path, workspace: Workspace
) -> None:
    Path.home().joinpath(".gitconfig").write_text(
        "[core]\n autocrlf = true\n hooksPath = /nowhere\n[commit]\n gpgSign = true\n"
        "[branch]\n autoSetupMerge = always\n"
    )
    worktree = Path(ready(clone, workspace).worktree)
    assert (worktree / "setup.py").read_bytes() == b"setup()\n"
    assert clones.dirty(worktree) == ()
    assert "branch" not in (clone / ".git" / "config").read_text()


def test_hooks_of_the_clone_do_not_run(clone: Path, workspace: Workspace, tmp_path: Path) -> None:
    hook = clone / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    ready(clone, workspace)
    assert not (tmp_path / "ran").exists()
    git(clone, "worktree", "add", "-q", str(tmp_path / "control"), "-b", "control")
    assert (tmp_path / "ran").exists()


def test_git_variables_of_the_caller_do_not_lead_astray(
    clone: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other", {"other": "x"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    worktree = Path(ready(clone, workspace).worktree)
    assert (worktree / "setup.py").exists()


@pytest.mark.parametrize("form", ["branch", "tag", "origin", "full", "commit", "short"])
def test_the_base_may_be_a_branch_a_tag_a_remote_branch_or_a_commit(
    tmp_path: Path, workspace: Workspace, form: str
) -> None:
    origin = repository(tmp_path / "origin", FILES)
    git(origin, "switch", "-q", "-c", "release/7.0")
    write(origin, {"VERSION": "7\n"})
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "release")
    commit = git(origin, "rev-parse", "HEAD")
    git(origin, "tag", "-a", "-m", "annotated", "v7")
    git(origin, "switch", "-q", "main")
    git(tmp_path, "clone", "-q", str(origin), "clone")
    clone = tmp_path / "clone"
    if form == "branch":
        git(clone, "branch", "-q", "local7", "origin/release/7.0")
    base = {
        "branch": "local7",
        "tag": "v7",
        "origin": "release/7.0",
        "full": "origin/release/7.0",
        "commit": commit,
        "short": commit[:9],
    }[form]
    record = ready(clone, workspace, base=base)
    assert record.commit == commit
    assert (Path(record.worktree) / "VERSION").read_text() == "7\n"


def test_a_bare_clone_will_do(clone: Path, workspace: Workspace, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(clone), "bare.git")
    record = ready(tmp_path / "bare.git", workspace)
    assert (Path(record.worktree) / "setup.py").exists()


def test_a_linked_worktree_of_a_person_will_do(clone: Path, workspace: Workspace, tmp_path: Path) -> None:
    git(clone, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "linked"))
    assert (Path(ready(tmp_path / "linked", workspace).worktree) / "setup.py").exists()


def test_what_is_no_clone_is_refused(clone: Path, workspace: Workspace, tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "nowhere", workspace).what
    (tmp_path / "plain").mkdir()
    error = refused(tmp_path / "plain", workspace)
    assert "not a git repository" in error.what
    assert "--tao-pytorch PATH" in error.next_step
    error = refused(clone / "pkg", workspace)
    assert f"a part of {clone}" in error.what
    assert not workspace.clone_path("tao-pytorch").exists()


def test_a_clone_without_commits_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "empty")
    assert refused(tmp_path / "empty", workspace).why == "it has no commit"


def test_a_missing_base_names_those_that_exist(clone: Path, workspace: Workspace) -> None:
    git(clone, "branch", "release/7.0.1")
    git(clone, "tag", "v5.0")
    error = refused(clone, workspace, base="release/7.0.2")
    assert "'release/7.0.2'" in error.what
    assert error.why.startswith("it has release/7.0.1")
    assert error.next_step == "give one of them: --base release/7.0.1"
    assert "main, release/7.0.1, v5.0" in refused(clone, workspace, base="qqq").why


@pytest.mark.parametrize("name", ["a..b", "-x", "a b", "HEAD^", "@{-1}", ""])
def test_a_bad_branch_name_is_refused(clone: Path, workspace: Workspace, name: str) -> None:
    assert "not a name for a branch" in refused(clone, workspace, branch=name).what


def test_a_branch_that_cannot_stand_beside_another_is_refused(clone: Path, workspace: Workspace) -> None:
    git(clone, "branch", "feature")
    assert "cannot have a branch feature/add-x beside feature" in refused(clone, workspace).what


def test_a_branch_of_somebody_else_is_refused_and_the_way_out_works(
    clone: Path, workspace: Workspace
) -> None:
    git(clone, "branch", BRANCH)
    error = refused(clone, workspace)
    assert "already has a branch feature/add-x" in error.what
    run_remedy(error)
    ready(clone, workspace)


def test_a_branch_with_commits_says_so(clone: Path, workspace: Workspace) -> None:
    git(clone, "switch", "-q", "-c", BRANCH)
    git(clone, "commit", "-q", "--allow-empty", "-m", "work")
    tip = git(clone, "rev-parse", BRANCH)
    error = refused(clone, workspace)
    assert f"it is checked out in {clone}" in error.why
    assert "1 commit that the base lacks" in error.why
    assert "switch OTHER-BRANCH" in error.next_step
    assert git(clone, "rev-parse", BRANCH) == tip


def test_the_branch_of_another_workspace_is_refused_and_the_way_out_works(
    clone: Path, workspace: Workspace, tmp_path: Path
) -> None:
    other = Workspace.create(tmp_path / "other work", PortOptions(source="x"))
    ready(clone, other)
    error = refused(clone, workspace)
    assert f"checked out in {other.root / 'tao-pytorch'}" in error.why
    run_remedy(error)
    ready(clone, workspace)


def test_a_workspace_inside_the_clone_is_refused(clone: Path) -> None:
    inside = Workspace.create(clone / "port", PortOptions(source="x"))
    assert "lies inside the clone" in refused(clone, inside).what


def test_files_in_the_way_are_refused_and_kept(clone: Path, workspace: Workspace) -> None:
    write(workspace.root, {"tao-pytorch/thesis.tex": "mine"})
    error = refused(clone, workspace)
    assert "thesis.tex" in error.why
    assert git(clone, "branch", "--list", BRANCH) == ""
    run_remedy(error)
    ready(clone, workspace)
    assert (workspace.root / "tao-pytorch.old" / "thesis.tex").read_text() == "mine"


def test_another_branch_or_base_for_the_same_workspace_is_refused(clone: Path, workspace: Workspace) -> None:
    ready(clone, workspace)
    assert "another branch" in refused(clone, workspace, branch="feature/add-y").what
    assert "another base" in refused(clone, workspace, base="HEAD").what


def test_a_worktree_on_another_branch_is_refused_and_the_way_out_works(
    clone: Path, workspace: Workspace
) -> None:
    worktree = Path(ready(clone, workspace).worktree)
    git(worktree, "switch", "-q", "-c", "elsewhere")
    error = refused(clone, workspace)
    assert "it is on elsewhere, the port on feature/add-x" in error.why
    subprocess.run(error.next_step, shell=True, check=True, capture_output=True)
    ready(clone, workspace)


def test_a_clone_that_was_moved_is_named_and_the_way_out_works(
    clone: Path, workspace: Workspace, tmp_path: Path
) -> None:
    ready(clone, workspace)
    clone.rename(tmp_path / "moved")
    error = refused(tmp_path / "moved", workspace)
    assert str(clone) in error.why
    run_remedy(error)
    ready(tmp_path / "moved", workspace)


def test_another_clone_than_before_is_refused(clone: Path, workspace: Workspace, tmp_path: Path) -> None:
    ready(clone, workspace)
    git(tmp_path, "clone", "-q", str(clone), "second")
    assert "belongs to another clone" in refused(tmp_path / "second", workspace).what


def test_a_folder_that_stands_in_for_the_worktree_is_refused_and_kept(
    clone: Path, workspace: Workspace
) -> None:
    worktree = Path(ready(clone, workspace).worktree)
    shutil.rmtree(worktree)
    write(worktree, {"thesis.tex": "mine"})
    error = refused(clone, workspace)
    assert "is not the worktree that porter made there" in error.what
    run_remedy(error)
    ready(clone, workspace)
    assert (worktree.with_name("tao-pytorch.old") / "thesis.tex").read_text() == "mine"


def test_a_damaged_record_is_named(clone: Path, workspace: Workspace) -> None:
    ready(clone, workspace)
    (workspace.clones / "tao-pytorch.json").write_text("{")
    assert "record of tao-pytorch cannot be read" in refused(clone, workspace).what


@pytest.mark.parametrize("prune", [False, True])
def test_a_worktree_removed_by_hand_is_made_again_without_its_pristine_copies(
    clone: Path, workspace: Workspace, prune: bool
) -> None:
    first = ready(clone, workspace)
    write(workspace.pristine, {"tao-pytorch/setup.py": "rendered\n", "tao-deploy/setup.py": "other\n"})
    shutil.rmtree(first.worktree)
    if prune:
        git(clone, "worktree", "prune")
    assert ready(clone, workspace) == first
    assert (Path(first.worktree) / "setup.py").exists()
    assert not (workspace.pristine / "tao-pytorch").exists()
    assert (workspace.pristine / "tao-deploy" / "setup.py").exists()


def test_a_workspace_removed_by_hand_does_not_hinder_the_next(clone: Path, workspace: Workspace) -> None:
    first = ready(clone, workspace)
    shutil.rmtree(workspace.root)
    write(clone, {"more.py": "more\n"})
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "the base has moved on")
    again = ready(clone, Workspace.create(workspace.root, PortOptions(source="x")))
    assert again.commit == git(clone, "rev-parse", "main") != first.commit
    assert (Path(again.worktree) / "more.py").exists()


@pytest.mark.parametrize("all_of_it", [False, True])
def test_commits_of_a_person_outlive_a_worktree_removed_by_hand(
    clone: Path, workspace: Workspace, all_of_it: bool
) -> None:
    record = ready(clone, workspace)
    git(Path(record.worktree), "commit", "-q", "--allow-empty", "-m", "work")
    tip = git(clone, "rev-parse", BRANCH)
    shutil.rmtree(workspace.root if all_of_it else record.worktree)
    error = refused(clone, Workspace.create(workspace.root, PortOptions(source="x")))
    assert "commit" in error.what + error.why
    assert git(clone, "rev-parse", BRANCH) == tip
    if not all_of_it:
        run_remedy(error)
        ready(clone, workspace)


def test_created_files_show_in_the_diff_and_removed_ones_leave_it(clone: Path, workspace: Workspace) -> None:
    worktree = Path(ready(clone, workspace).worktree)
    write(worktree, {"pkg/new.py": "new\n", "pkg/kept.log": "ignored by git\n", "ünï [x]*.py": "odd\n"})
    created = ["pkg/new.py", "pkg/kept.log", "ünï [x]*.py"]
    clones.show_in_diff(worktree, created)
    clones.show_in_diff(worktree, created)
    assert git(worktree, "diff", "--stat", "--summary").count("create mode") == 3
    assert git(worktree, "diff", "--cached") == ""
    for name in created:
        (worktree / name).unlink()
    clones.drop_from_diff(worktree, created)
    assert git(worktree, "status", "--porcelain") == ""


def test_committed_files_come_with_their_mode(clone: Path, workspace: Workspace) -> None:
    (clone / "pkg" / "run.sh").chmod(0o755)
    (clone / "link").symlink_to("setup.py")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "mode")
    worktree = Path(ready(clone, workspace).worktree)
    found = clones.committed(worktree, "HEAD", ["pkg/run.sh", "pkg/windows.py", "no.py"])
    assert found == {
        "pkg/run.sh": clones.Version(b"#!/bin/sh\n", True),
        "pkg/windows.py": clones.Version(b"a\r\nb\r\n"),
    }
    for odd in ("link", "pkg"):
        with pytest.raises(WorkspaceError, match="not a plain file"):
            clones.committed(worktree, "HEAD", [odd])


def test_a_clone_is_found_in_the_cache_or_the_way_to_get_one_is_shown(clone: Path) -> None:
    assert clones.locate("tao-deploy", str(clone)) == clone
    with pytest.raises(WorkspaceError) as caught:
        clones.locate("tao-pytorch", None)
    assert "git clone " in caught.value.next_step
    cached = Path(os.environ["PORTER_CACHE"]) / "repos" / "tao-pytorch"
    repository(cached, FILES)
    assert clones.locate("tao-pytorch", None) == cached
