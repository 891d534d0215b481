from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from porter import clones
from porter.atomic import write_atomic
from porter.clones import prepare
from porter.errors import ConflictError, WorkspaceError
from porter.generate.apply import apply
from porter.records.base import digest
from porter.records.options import PortOptions
from porter.records.plan import FilePlan, PlannedFile
from porter.workspace import Workspace
from tests.repositories import git, repository, visible, write

SETUP = "one = 1\ntwo = 2\nthree = 3\nfour = 4\n"
EDITED = SETUP.replace("four = 4", "four = 4\nfive = 5")
MODEL = "class Model:\n    a = 1\n    b = 2\n    c = 3\n"


class Bench:
    """A worktree of a real clone, and plans applied to it."""

    def __init__(self, tmp_path: Path) -> None:
        self.clone = repository(
            tmp_path / "clone", {"setup.py": SETUP, "pkg/taken.py": "theirs\n", ".gitignore": "*.log\n"}
        )
        self.workspace = Workspace.create(tmp_path / "w", PortOptions(source="x"))
        self.root = Path(prepare("tao-pytorch", self.clone, self.workspace, "feature/x", "main").worktree)

    def apply(
        self,
        create: Mapping[str, str] | None = None,
        edit: Mapping[str, str] | None = None,
        **more: Any,
    ) -> dict[str, str]:
        executable = more.pop("executable", ())
        files = [
            PlannedFile(
                repo="tao-pytorch",
                path=path,
                action="create" if path in (create or {}) else "edit",
                content=content,
                produced_by="test",
                executable=path in executable,
            )
            for path, content in {**(create or {}), **(edit or {})}.items()
        ]
        return self.apply_files(files, **more)

    def apply_files(self, files: list[PlannedFile], **more: Any) -> dict[str, str]:
        plan = FilePlan(files=tuple(files))
        done = apply(plan, {"tao-pytorch": self.root}, self.workspace.pristine, **more)
        assert [entry.path for entry in done] == sorted(entry.path for entry in done)
        return {entry.path: entry.outcome for entry in done}

    def text(self, path: str) -> str:
        return (self.root / path).read_bytes().decode()

    def pristine(self, path: str) -> Path:
        return self.workspace.pristine / "tao-pytorch" / path

    def conflict(self, path: str) -> Path:
        return self.workspace.conflicts / "tao-pytorch" / path

    def everything(self) -> str:
        files = {
            str(path): (path.read_bytes(), path.stat().st_mtime_ns)
            for top in (self.root, self.workspace.state)
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }
        return digest({name: [str(data), time] for name, (data, time) in files.items()})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_whole_port_shows_in_git_diff_and_nothing_is_staged(bench: Bench) -> None:
    done = bench.apply({"pkg/net/model.py": MODEL, "pkg/net/__init__.py": ""}, {"setup.py": EDITED})
    assert done == {"pkg/net/__init__.py": "created", "pkg/net/model.py": "created", "setup.py": "updated"}
    shown = git(bench.root, "diff")
    assert "+class Model:" in shown
    assert "+five = 5" in shown
    assert "pkg/net/__init__.py" in shown
    assert git(bench.root, "diff", "--cached") == ""
    assert bench.pristine("setup.py").read_text() == EDITED
    assert git(bench.clone, "status", "--porcelain") == ""


def test_applying_the_same_plan_again_writes_nothing(bench: Bench) -> None:
    bench.apply({"a.py": MODEL}, {"setup.py": EDITED})
    before = bench.everything()
    assert bench.apply({"a.py": MODEL}, {"setup.py": EDITED}) == {
        "a.py": "identical",
        "setup.py": "identical",
    }
    assert bench.everything() == before


def test_content_arrives_byte_for_byte(bench: Bench) -> None:
    odd = "\ufeff# ünï\r\nno newline at the end \u2028"
    bench.apply({"odd.py": odd, "run.sh": "#!/bin/sh\n"}, executable=["run.sh"])
    assert (bench.root / "odd.py").read_bytes() == odd.encode()
    assert os.access(bench.root / "run.sh", os.X_OK)
    assert not os.access(bench.root / "odd.py", os.X_OK)


def test_an_edit_keeps_the_executable_bit_of_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (bench.clone / "setup.py").chmod(0o755)
    git(bench.clone, "commit", "-q", "-a", "-m", "runs")
    other = Workspace.create(tmp_path / "other", PortOptions(source="x"))
    bench.root = Path(prepare("tao-pytorch", bench.clone, other, "feature/y", "main").worktree)
    bench.workspace = other
    bench.apply({}, {"setup.py": EDITED})
    assert os.access(bench.root / "setup.py", os.X_OK)
    assert "mode" not in git(bench.root, "diff", "--summary")


def test_a_new_render_updates_what_nobody_touched_and_merges_what_somebody_did(bench: Bench) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    write(bench.root, {"b.py": MODEL.replace("a = 1", "a = 100")})
    new = MODEL.replace("c = 3", "c = 4")
    assert bench.apply({"a.py": new, "b.py": new}) == {"a.py": "updated", "b.py": "merged"}
    assert bench.text("a.py") == new
    assert bench.text("b.py") == new.replace("a = 1", "a = 100")
    assert bench.pristine("b.py").read_text() == new


def test_an_edited_file_keeps_its_edit_while_the_render_stays(bench: Bench) -> None:
    bench.apply({"a.py": MODEL})
    write(bench.root, {"a.py": "mine\n"})
    assert bench.apply({"a.py": MODEL}) == {"a.py": "kept"}
    assert bench.text("a.py") == "mine\n"


def test_a_chmod_by_hand_is_kept(bench: Bench) -> None:
    bench.apply({"a.py": MODEL})
    (bench.root / "a.py").chmod(0o755)
    assert bench.apply({"a.py": MODEL}) == {"a.py": "kept"}
    assert bench.apply({"a.py": MODEL + "d = 4\n"}) == {"a.py": "merged"}
    assert os.access(bench.root / "a.py", os.X_OK)
    assert bench.text("a.py") == MODEL + "d = 4\n"


def test_a_persons_edit_of_setup_py_before_the_port_is_merged(bench: Bench) -> None:
    write(bench.root, {"setup.py": SETUP.replace("one = 1", "one = 'mine'")})
    assert bench.apply({}, {"setup.py": EDITED}) == {"setup.py": "merged"}
    assert bench.text("setup.py") == EDITED.replace("one = 1", "one = 'mine'")


def test_a_deleted_file_stays_deleted_while_the_render_stays(bench: Bench) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    (bench.root / "a.py").unlink()
    assert bench.apply({"a.py": MODEL, "b.py": MODEL}) == {"a.py": "kept", "b.py": "identical"}
    assert not (bench.root / "a.py").exists()


def test_what_a_plan_no_longer_names_is_taken_back(bench: Bench) -> None:
    bench.apply({"net/deep/a.py": MODEL, "b.py": MODEL}, {"setup.py": EDITED})
    assert bench.apply({"b.py": MODEL}) == {
        "b.py": "identical",
        "net/deep/a.py": "removed",
        "setup.py": "updated",
    }
    assert not (bench.root / "net").exists()
    assert bench.text("setup.py") == SETUP
    assert git(bench.root, "status", "--porcelain") == " A b.py"
    assert bench.apply({"b.py": MODEL}) == {"b.py": "identical"}


def test_taking_an_edit_back_keeps_what_a_person_added(bench: Bench) -> None:
    bench.apply({"b.py": MODEL}, {"setup.py": EDITED})
    write(bench.root, {"setup.py": EDITED.replace("one = 1", "one = 'mine'")})
    assert bench.apply({"b.py": MODEL})["setup.py"] == "merged"
    assert bench.text("setup.py") == SETUP.replace("one = 1", "one = 'mine'")


def test_a_planned_removal_takes_back_what_porter_made_and_nothing_else(bench: Bench) -> None:
    remove = [
        PlannedFile(repo="tao-pytorch", path=path, action="remove", produced_by="test")
        for path in ("a.py", "pkg/taken.py", "never.py")
    ]
    bench.apply({"a.py": MODEL})
    for _ in range(2):
        done = bench.apply_files(remove)
        assert done == {"a.py": "removed", "pkg/taken.py": "identical", "never.py": "removed"}
        assert not (bench.root / "a.py").exists()
        assert bench.text("pkg/taken.py") == "theirs\n"


def test_a_port_that_a_person_has_committed_goes_on_as_before(bench: Bench) -> None:
    base = git(bench.root, "rev-parse", "HEAD")
    bases = {"tao-pytorch": base}
    bench.apply({"a.py": MODEL, "b.py": MODEL}, {"setup.py": EDITED}, bases=bases)
    git(bench.root, "add", "-A")
    git(bench.root, "commit", "-q", "-m", "the port")
    assert set(bench.apply({"a.py": MODEL, "b.py": MODEL}, {"setup.py": EDITED}, bases=bases).values()) == {
        "identical"
    }
    done = bench.apply({"a.py": MODEL + "d = 4\n"}, bases=bases)
    assert done == {"a.py": "updated", "b.py": "removed", "setup.py": "updated"}
    assert bench.text("setup.py") == SETUP
    assert git(bench.root, "status", "--porcelain").splitlines() == [" M a.py", " D b.py", " M setup.py"]


def test_a_conflict_names_every_file_and_changes_nothing(bench: Bench) -> None:
    files = dict.fromkeys(("a.py", "b.py", "c.py", "d.py", "e.py"), MODEL)
    bench.apply(files)
    mine = MODEL.replace("b = 2", "b = 'mine'")
    write(bench.root, {"b.py": mine, "d.py": mine})
    (bench.root / "e.py").unlink()
    new = dict.fromkeys(files, MODEL.replace("b = 2", "b = 'new'"))
    new.pop("d.py")
    before = visible(bench.root)
    with pytest.raises(ConflictError) as caught:
        bench.apply(new)
    assert visible(bench.root) == before
    for name in ("b.py", "d.py", "e.py"):
        assert f"tao-pytorch/{name}" in caught.value.why
        assert str(bench.conflict(name)) in caught.value.next_step
    assert "a.py" not in str(caught.value)
    assert bench.pristine("a.py").read_text() == MODEL
    text = bench.conflict("b.py").read_text()
    assert "<<<<<<< your file\n    b = 'mine'\n=======\n    b = 'new'\n>>>>>>> new render\n" in text


def test_a_dry_run_says_the_same_and_changes_nothing(bench: Bench) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    write(bench.root, {"b.py": "mine\n"})
    before = bench.everything()
    new = {"a.py": "new\n", "b.py": "new\n", "c.py": "new\n"}
    assert bench.apply(new, dry_run=True) == {"a.py": "updated", "b.py": "conflict", "c.py": "created"}
    assert bench.everything() == before


def in_conflict(bench: Bench) -> dict[str, str]:
    """Bring two files into conflict and return the plan that does not go in."""
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    write(bench.root, {name: MODEL.replace("b = 2", "b = 'mine'") for name in ("a.py", "b.py")})
    new = dict.fromkeys(("a.py", "b.py"), MODEL.replace("b = 2", "b = 'new'"))
    with pytest.raises(ConflictError):
        bench.apply(new)
    return new


def test_a_settled_conflict_goes_in_and_leaves_nothing_behind(bench: Bench) -> None:
    new = in_conflict(bench)
    settled = MODEL.replace("b = 2", "b = 'both'")
    bench.conflict("a.py").write_text(settled)
    bench.conflict("b.py").write_text(settled)
    assert bench.apply(new) == {"a.py": "merged", "b.py": "merged"}
    assert bench.text("a.py") == settled
    assert not bench.workspace.conflicts.exists()
    assert bench.apply(new) == {"a.py": "kept", "b.py": "kept"}
    assert bench.apply(dict.fromkeys(new, new["a.py"] + "d = 4\n")) == {"a.py": "merged", "b.py": "merged"}
    assert bench.text("a.py") == settled + "d = 4\n"


def test_half_settled_work_is_not_overwritten(bench: Bench) -> None:
    new = in_conflict(bench)
    bench.conflict("a.py").write_text("settled\n")
    half = bench.conflict("b.py").read_text() + "# thinking about it\n"
    bench.conflict("b.py").write_text(half)
    with pytest.raises(ConflictError) as caught:
        bench.apply(new)
    assert "a.py" not in caught.value.why
    assert bench.conflict("b.py").read_text() == half
    bench.conflict("b.py").write_text("also settled\n")
    assert bench.apply(new) == {"a.py": "merged", "b.py": "merged"}
    assert bench.text("a.py") == "settled\n"


@pytest.mark.parametrize("what", ["working", "render"])
def test_what_was_settled_for_other_content_does_not_count(bench: Bench, what: str) -> None:
    new = in_conflict(bench)
    bench.conflict("a.py").write_text("settled\n")
    bench.conflict("b.py").write_text("settled\n")
    if what == "working":
        write(bench.root, {"a.py": MODEL.replace("b = 2", "b = 'changed my mind'")})
    else:
        new["a.py"] = MODEL.replace("b = 2", "b = 'newer'")
    with pytest.raises(ConflictError) as caught:
        bench.apply(new)
    assert "a.py" in caught.value.why
    assert "b.py" not in caught.value.why
    assert "your file" in bench.conflict("a.py").read_text()


def test_a_conflict_with_a_deletion_can_be_settled_both_ways(bench: Bench) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    for name in ("a.py", "b.py"):
        (bench.root / name).unlink()
    new = dict.fromkeys(("a.py", "b.py"), MODEL + "d = 4\n")
    with pytest.raises(ConflictError):
        bench.apply(new)
    bench.conflict("a.py").unlink()
    bench.conflict("b.py").write_text(new["b.py"])
    assert bench.apply(new) == {"a.py": "kept", "b.py": "merged"}
    assert not (bench.root / "a.py").exists()
    assert bench.text("b.py") == new["b.py"]
    assert bench.apply(new) == {"a.py": "kept", "b.py": "identical"}


def test_removing_the_conflict_folder_discards_nobodys_text(bench: Bench) -> None:
    new = in_conflict(bench)
    shutil.rmtree(bench.workspace.conflicts)
    with pytest.raises(ConflictError):
        bench.apply(new)
    assert "b = 'mine'" in bench.text("a.py")


def test_an_edited_file_that_is_no_longer_generated_can_stay_as_the_persons_own(bench: Bench) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL})
    write(bench.root, {"a.py": "mine\n"})
    with pytest.raises(ConflictError):
        bench.apply({"b.py": MODEL})
    bench.conflict("a.py").write_text("mine\n")
    bench.apply({"b.py": MODEL})
    assert bench.text("a.py") == "mine\n"
    assert bench.apply({"b.py": MODEL}) == {"b.py": "identical"}
    assert bench.text("a.py") == "mine\n"


def test_a_run_that_broke_off_between_file_and_pristine_copy_is_taken_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.apply({"a.py": MODEL, "b.py": MODEL, "c.py": MODEL})
    write(bench.root, {"b.py": MODEL.replace("a = 1", "a = 'mine'")})
    new = {"a.py": MODEL + "d = 4\n", "b.py": MODEL.replace("c = 3", "c = 4")}
    replace = Path.replace

    def no_space(self: Path, target: Path) -> Path:
        if target == bench.pristine("b.py"):
            raise OSError("no space left")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(OSError, match="no space left"):
        bench.apply(new)
    monkeypatch.setattr(Path, "replace", replace)
    merged = bench.text("b.py")
    assert merged == new["b.py"].replace("a = 1", "a = 'mine'")
    assert bench.pristine("b.py").read_text() == MODEL
    assert bench.apply(new) == {"a.py": "updated", "b.py": "merged", "c.py": "removed"}
    assert bench.text("b.py") == merged
    assert bench.pristine("b.py").read_text() == new["b.py"]
    assert bench.apply(new) == {"a.py": "identical", "b.py": "kept"}


def test_an_open_plan_of_another_repository_stays_open(bench: Bench, tmp_path: Path) -> None:
    bench.apply(create={"model.py": MODEL})
    clone = repository(tmp_path / "deploy", {"setup.py": SETUP})
    root = Path(prepare("tao-deploy", clone, bench.workspace, "feature/x", "main").worktree)

    def deploy(text: str) -> None:
        file = PlannedFile(
            repo="tao-deploy", path="engine.py", action="create", content=text, produced_by="t"
        )
        apply(FilePlan(files=(file,)), {"tao-deploy": root}, bench.workspace.pristine)

    deploy(MODEL)
    write(root, {"engine.py": MODEL.replace("a = 1", "a = 7")})
    with pytest.raises(ConflictError):
        deploy(MODEL.replace("a = 1", "a = 8"))
    conflict = bench.workspace.conflicts / "tao-deploy" / "engine.py"
    conflict.write_text(MODEL.replace("a = 1", "a = 9"))
    bench.apply(create={"model.py": MODEL + "# more\n"})
    deploy(MODEL.replace("a = 1", "a = 8"))
    assert (root / "engine.py").read_text() == MODEL.replace("a = 1", "a = 9")
    assert not bench.workspace.conflicts.exists()


def test_a_file_that_tao_has_is_refused(bench: Bench) -> None:
    with pytest.raises(WorkspaceError, match=r"already has pkg/taken\.py"):
        bench.apply({"a.py": MODEL, "pkg/taken.py": MODEL})
    assert clones.dirty(bench.root) == ()


def test_an_edit_of_a_file_that_tao_lacks_is_refused(bench: Bench) -> None:
    with pytest.raises(WorkspaceError, match=r"has no gone\.py"):
        bench.apply({}, {"gone.py": MODEL})


def test_a_file_of_a_person_in_the_place_of_a_created_one_is_a_conflict(bench: Bench) -> None:
    write(bench.root, {"a.py": "mine\n"})
    with pytest.raises(ConflictError, match="1 file of the port"):
        bench.apply({"a.py": MODEL})
    assert bench.text("a.py") == "mine\n"


def test_changes_that_no_record_explains_are_refused_before_the_first_write(bench: Bench) -> None:
    write(bench.root, {"pkg/taken.py": "edited\n", "notes.txt": "mine\n", "build.log": "ignored\n"})
    with pytest.raises(WorkspaceError, match="not porter's") as caught:
        bench.apply({"a.py": MODEL})
    assert caught.value.why == "notes.txt, pkg/taken.py"
    assert not (bench.root / "a.py").exists()


def test_a_persons_own_files_are_no_hindrance_later(bench: Bench) -> None:
    bench.apply({"a.py": MODEL})
    write(bench.root, {"pkg/taken.py": "edited\n", "notes.txt": "mine\n"})
    assert bench.apply({"a.py": "new\n"}) == {"a.py": "updated"}
    assert bench.text("notes.txt") == "mine\n"


@pytest.mark.parametrize(
    "path",
    [
        "../outside.py",
        "pkg/../../outside.py",
        "/tmp/outside.py",
        "pkg/./a.py",
        "pkg//a.py",
        "a.py/",
        "",
        ".",
        ".git",
        ".git/config",
        "pkg/.GIT/config",
        "pkg\\a.py",
        "pkg/a\n.py",
        "pkg/a\0.py",
        "linked/a.py",
        "linked_file.py",
        "pkg",
        "setup.py/a.py",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(bench: Bench, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "victim.py").write_text("untouched")
    (bench.root / "linked").symlink_to(tmp_path / "outside")
    (bench.root / "linked_file.py").symlink_to(tmp_path / "victim.py")
    with pytest.raises(WorkspaceError, match="does not write"):
        bench.apply({path: "evil\n"})
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "victim.py").read_text() == "untouched"
    assert not (tmp_path / "w" / "outside.py").exists()


def test_a_plan_that_contradicts_itself_is_a_bug(bench: Bench) -> None:
    file = PlannedFile(repo="tao-pytorch", path="a.py", action="create", content="x", produced_by="t")
    elsewhere = PlannedFile(repo="tao-deploy", path="a.py", action="create", content="x", produced_by="t")
    for files in ([file, file], [file, elsewhere]):
        with pytest.raises(ValueError, match="twice, or a repository"):
            bench.apply_files(files)


def test_a_file_that_the_sparse_checkout_leaves_out_is_refused_and_the_way_out_works(
    tmp_path: Path, bench: Bench
) -> None:
    git(bench.root, "sparse-checkout", "set", "--no-cone", "/*", "!/setup.py")
    assert not (bench.root / "setup.py").exists()
    with pytest.raises(WorkspaceError, match="leaves out") as caught:
        bench.apply({}, {"setup.py": EDITED})
    os.system(caught.value.next_step.removeprefix("bring it in: "))
    assert bench.apply({}, {"setup.py": EDITED}) == {"setup.py": "updated"}


def test_files_go_into_folders_that_the_sparse_checkout_leaves_out(bench: Bench) -> None:
    git(bench.root, "sparse-checkout", "set", "--no-cone", "/*", "!/pkg/")
    assert bench.apply({"pkg/net.py": MODEL}) == {"pkg/net.py": "created"}
    assert "+class Model:" in git(bench.root, "diff")


@pytest.mark.parametrize("edited", [False, True])
def test_another_plan_after_a_kill_knows_what_the_killed_one_wrote(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    bench.apply({"a.py": MODEL}, {"setup.py": EDITED})
    second, third = MODEL.replace("b = 2", "b = 3"), MODEL.replace("b = 2", "b = 4")

    def killed(path: Path, data: bytes, **more: Any) -> None:
        if path.is_relative_to(bench.workspace.pristine):
            raise KeyboardInterrupt
        write_atomic(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr("porter.generate.apply.write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.apply({"a.py": second}, {"setup.py": EDITED})
    assert bench.text("a.py") == second
    if edited:
        write(bench.root, {"a.py": second.replace("a = 1", "a = 100")})
        with pytest.raises(ConflictError):
            bench.apply({"a.py": third}, {"setup.py": EDITED})
        return
    done = bench.apply({"a.py": third}, {"setup.py": EDITED})
    assert done["a.py"] == "updated"
    assert bench.text("a.py") == third
    assert bench.apply({"a.py": third}, {"setup.py": EDITED})["a.py"] == "identical"


def test_a_file_made_by_a_killed_run_is_porters_for_another_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, data: bytes, **more: Any) -> None:
        if path.is_relative_to(bench.workspace.pristine):
            raise KeyboardInterrupt
        write_atomic(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr("porter.generate.apply.write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.apply({"a.py": MODEL})
    other = MODEL.replace("b = 2", "b = 3")
    assert bench.apply({"a.py": other}) == {"a.py": "updated"}
    assert bench.text("a.py") == other
    assert bench.pristine("a.py").read_text() == other
