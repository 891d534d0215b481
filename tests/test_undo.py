"""A port taken out of real clones again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from porter.clones import prepare, read_record
from porter.errors import ConflictError, WorkspaceError
from porter.generate.apply import apply
from porter.records.options import PortOptions
from porter.records.plan import FilePlan, PlannedFile
from porter.records.undo import Undone
from porter.undo import undo
from porter.workspace import Workspace
from tests.clone_cases import half_made
from tests.e2e.conftest import Done, run_porter
from tests.repositories import git, repository, visible, write

SETUP = "one = 1\ntwo = 2\nthree = 3\nfour = 4\n"
EDITED = SETUP.replace("four = 4", "four = 4\nfive = 5")
MODEL = "class Model:\n    a = 1\n    b = 2\n    c = 3\n"
BRANCH = "feature/add-x"


class Port:
    """A port of four files in a worktree of a real clone."""

    def __init__(self, tmp_path: Path) -> None:
        self.clone = repository(
            tmp_path / "clone", {"setup.py": SETUP, "pkg/a.py": "a\n", ".gitignore": "*.log\n__pycache__/\n"}
        )
        self.before = self.state()
        self.workspace = Workspace.create(tmp_path / "w", PortOptions(source="x"))
        self.root = self.workspace.clone_path("tao-pytorch")
        self.make()

    def make(self, model: str = MODEL) -> dict[str, str]:
        """Make the port as phases 1 and 3 do; returns the outcomes."""
        record = prepare("tao-pytorch", self.clone, self.workspace, BRANCH, "main")
        texts = {"net/__init__.py": "", "net/deep/model.py": model, "run.log": "ignored by git\n"}
        files = [self._file(path, "create", text) for path, text in texts.items()]
        plan = FilePlan(files=(*files, self._file("setup.py", "edit", EDITED)))
        done = apply(
            plan,
            {"tao-pytorch": self.root},
            self.workspace.pristine,
            bases={"tao-pytorch": record.commit},
        )
        return {entry.path: entry.outcome for entry in done}

    @staticmethod
    def _file(path: str, action: str, content: str) -> PlannedFile:
        values = {"repo": "tao-pytorch", "path": path, "action": action, "content": content}
        return PlannedFile(**values, produced_by="test")  # type: ignore[arg-type]

    def undo(self, **more: bool) -> Undone:
        with self.workspace.lock():
            return undo(self.workspace, **more)

    def state(self) -> Mapping[str, object]:
        """Return everything that a port may leave in a clone."""
        return {
            "files": visible(self.clone),
            "refs": git(self.clone, "for-each-ref"),
            "worktrees": git(self.clone, "worktree", "list"),
            "status": git(self.clone, "status", "--porcelain"),
            "config": (self.clone / ".git" / "config").read_bytes(),
            "admin": sorted(path.name for path in (self.clone / ".git").glob("worktrees/*")),
        }


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path)


def outcomes(undone: Undone) -> dict[str, str]:
    return {file.path: file.outcome for repo in undone.repos for file in repo.files}


def test_an_untouched_port_goes_without_a_trace_in_the_clone(port: Port) -> None:
    assert port.state() != port.before
    undone = port.undo()
    assert outcomes(undone) == {
        "net/__init__.py": "removed",
        "net/deep/model.py": "removed",
        "run.log": "removed",
        "setup.py": "updated",
    }
    assert [repo.removed for repo in undone.repos] == [True]
    assert port.state() == port.before
    assert not port.root.exists()
    assert (port.workspace.root / "porter.toml").exists()
    assert read_record(port.workspace, "tao-pytorch") is None
    assert sorted(path.name for path in port.workspace.state.iterdir()) == [
        "clones", "lock", "lock.json", "pristine"
    ]  # fmt: skip
    assert not any(path.is_file() for path in port.workspace.pristine.rglob("*"))


def test_a_port_can_be_made_again_afterwards(port: Port) -> None:
    first = visible(port.root)
    port.undo()
    assert set(port.make().values()) == {"created", "updated"}
    assert visible(port.root) == first


def test_undoing_twice_does_no_more_than_once(port: Port) -> None:
    port.undo()
    assert port.undo().repos == ()
    assert port.state() == port.before


def test_a_dry_run_says_the_same_and_changes_nothing(port: Port) -> None:
    (port.root / "notes.txt").write_text("mine")
    before = (port.state(), visible(port.root), git(port.root, "status", "--porcelain"))
    planned = port.undo(dry_run=True)
    assert (port.state(), visible(port.root), git(port.root, "status", "--porcelain")) == before
    assert planned.dry_run
    done = port.undo()
    assert planned.repos == done.repos


def test_what_people_wrote_stays(port: Port) -> None:
    write(
        port.root,
        {
            "net/deep/model.py": MODEL.replace("a = 1", "a = 100"),
            "setup.py": EDITED.replace("one = 1", "one = 'mine'"),
            "notes.txt": "mine",
            "pkg/a.py": "mine\n",
        },
    )
    undone = port.undo()
    assert outcomes(undone) == {
        "net/__init__.py": "removed",
        "net/deep/model.py": "kept",
        "run.log": "removed",
        "setup.py": "merged",
    }
    (repo,) = undone.repos
    assert not repo.removed
    told = " ".join(repo.left)
    for path in ("net/deep/model.py", "setup.py", "notes.txt", "pkg/a.py"):
        assert path in told
    assert (port.root / "setup.py").read_text() == SETUP.replace("one = 1", "one = 'mine'")
    assert (port.root / "net/deep/model.py").read_text() == MODEL.replace("a = 1", "a = 100")
    assert (port.root / "notes.txt").read_text() == "mine"
    assert not (port.root / "net" / "__init__.py").exists()
    assert git(port.root, "branch", "--show-current") == BRANCH
    assert git(port.root, "diff", "--cached") == ""


def test_a_port_made_again_over_what_stayed_merges_with_it(port: Port) -> None:
    write(
        port.root,
        {
            "net/deep/model.py": MODEL.replace("a = 1", "a = 100"),
            "setup.py": EDITED.replace("one = 1", "one = 'mine'"),
            "notes.txt": "mine",
        },
    )
    port.undo()
    assert port.undo().repos[0].left
    assert port.make(MODEL.replace("c = 3", "c = 4")) == {
        "net/__init__.py": "created",
        "net/deep/model.py": "merged",
        "run.log": "created",
        "setup.py": "merged",
    }
    assert (port.root / "setup.py").read_text() == EDITED.replace("one = 1", "one = 'mine'")
    assert (port.root / "net/deep/model.py").read_text() == MODEL.replace("a = 1", "a = 100").replace(
        "c = 3", "c = 4"
    )


def test_an_edit_of_porters_own_lines_is_for_the_person_to_settle(port: Port) -> None:
    mine = EDITED.replace("five = 5", "five = 'mine'")
    write(port.root, {"setup.py": mine})
    before = visible(port.root)
    with pytest.raises(ConflictError) as caught:
        port.undo()
    assert caught.value.exit_code == 7
    assert visible(port.root) == before
    conflict = port.workspace.conflicts / "tao-pytorch" / "setup.py"
    assert str(conflict) in caught.value.next_step
    assert "porter undo" in caught.value.next_step
    conflict.write_text(SETUP + "settled = 1\n")
    assert outcomes(port.undo())["setup.py"] == "merged"
    assert (port.root / "setup.py").read_text() == SETUP + "settled = 1\n"
    assert not (port.root / "net").exists()


@pytest.mark.parametrize("what", ["commit", "untracked", "ignored", "skipped", "locked", "deleted"])
def test_anything_of_anybody_keeps_worktree_and_branch(port: Port, what: str) -> None:
    if what == "commit":
        write(port.root, {"pkg/b.py": "b\n"})
        git(port.root, "add", "pkg/b.py")
        git(port.root, "commit", "-q", "-m", "mine", "--", "pkg/b.py")
    elif what == "untracked":
        write(port.root, {"mine/new.txt": "x"})
    elif what == "ignored":
        write(port.root, {"mine.log": "x"})
    elif what == "skipped":
        git(port.root, "update-index", "--assume-unchanged", "pkg/a.py")
        write(port.root, {"pkg/a.py": "mine\n"})
    elif what == "locked":
        git(port.clone, "worktree", "lock", str(port.root))
    else:
        (port.root / "pkg" / "a.py").unlink()
    (repo,) = port.undo().repos
    assert not repo.removed
    assert len(repo.left) == 1
    assert git(port.root, "branch", "--show-current") == BRANCH
    assert not (port.root / "net").exists()


def test_bytecode_of_what_is_gone_goes_with_it(port: Port) -> None:
    write(port.root, {"net/deep/__pycache__/model.pyc": b"x", "pkg/__pycache__/a.pyc": b"x"})
    write(port.root, {"notes.txt": "mine"})
    (repo,) = port.undo().repos
    assert repo.left == ("notes.txt: not porter's",)
    assert not (port.root / "net").exists()
    (port.root / "notes.txt").unlink()
    assert port.undo().repos[0].removed
    assert port.state() == port.before


def test_a_worktree_that_is_gone_leaves_no_registration_and_no_branch(port: Port) -> None:
    shutil.rmtree(port.root)
    assert port.undo().repos[0].removed
    assert port.state() == port.before


def test_a_port_that_was_killed_while_git_registered_its_worktree_can_be_undone(port: Port) -> None:
    (registration,) = (port.clone / ".git" / "worktrees").iterdir()
    for path in port.root.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("HEAD", "index"):
        (registration / name).unlink()
    (registration / "commondir").write_bytes(b"")
    shutil.rmtree(port.workspace.pristine)
    half_made(port.workspace)
    assert port.undo().repos[0].removed
    assert port.state() == port.before


def test_a_clone_that_is_gone_is_told(port: Port) -> None:
    shutil.rmtree(port.clone)
    with pytest.raises(WorkspaceError):
        port.undo()
    assert (port.root / "net" / "deep" / "model.py").exists()


def test_a_worktree_on_another_branch_is_left_alone(port: Port) -> None:
    git(port.root, "switch", "-q", "-c", "other")
    with pytest.raises(WorkspaceError, match="not on the branch of the port"):
        port.undo()


def _command(port: Port, *arguments: str) -> Done:
    return run_porter(port.workspace.root / "cache", "undo", str(port.workspace.root), *arguments)


def test_the_command_asks_shows_every_file_and_ends_well(port: Port) -> None:
    refused = _command(port)
    assert refused.code == 2
    assert "Take the port out of the clones" in refused.err
    assert port.root.exists()
    planned = _command(port, "--dry-run", "--json")
    assert json.loads(planned.out)["dry_run"] is True
    assert port.root.exists()
    done = _command(port, "--yes")
    assert done.code == 0, done.err
    assert "removed    net/deep/model.py" in done.out
    assert "updated    setup.py" in done.out
    assert port.state() == port.before
    again = _command(port, "--yes")
    assert again.code == 0
    assert "There is nothing of" in again.out


def test_the_command_ends_with_7_where_there_is_something_to_settle(port: Port) -> None:
    write(port.root, {"setup.py": EDITED.replace("five = 5", "five = 'mine'")})
    done = _command(port, "--yes")
    assert done.code == 7
    assert "conflicts/tao-pytorch/setup.py" in done.err
