"""An existing port asked for again: with another option, by a newer porter, of other labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, run_porter
from tests.repositories import git, visible

pytestmark = pytest.mark.torch_env

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "nvidia_tao_pytorch/cv/again_vit"
SPEC = f"{PACKAGE}/experiment_specs/experiment_spec.yaml"
TRAIN = f"{PACKAGE}/scripts/train.py"


class Again:
    """A port up to phase 3 in a clone of its own."""

    def __init__(self, cache: Path, kit: Path, model: Path, folder: Path) -> None:
        self.cache = cache
        self.kit = kit
        self.model = folder / "model"
        shutil.copytree(model, self.model)
        self.workspace = folder / "port"
        self.worktree = self.workspace / "tao-pytorch"

    def port(self, *more: str | Path, command: str = "port") -> Done:
        """Give the same command again, with *more*."""
        given = ("--name", "again_vit", "--tao-pytorch", self.kit, "--workspace", self.workspace)
        until = () if command == "plan" else ("--until", "3")
        return run_porter(self.cache, command, self.model, *given, "--yes", *until, *more)

    def edit(self, path: str, old: str, new: str) -> None:
        """Edit a file of the worktree as a person would."""
        file = self.worktree / path
        text = file.read_text()
        assert old in text, text
        file.write_text(text.replace(old, new, 1))

    def text(self, path: str) -> str:
        return (self.worktree / path).read_text()


def changed(done: Done) -> dict[str, str]:
    """Return what the `files` gate says of every file that is not as it was."""
    found = done.gates()["files"]["evidence"]["changed"]
    return {path.removeprefix("tao-pytorch/"): what for path, what in found.items()}


@pytest.fixture(scope="module")
def again(
    e2e_cache: Path, mini_kit: Path, mini_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Again:
    """A finished port that a person has worked on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTER_TAO_MIRROR", "http://127.0.0.1:9")
        port = Again(e2e_cache, mini_kit, mini_model, tmp_path_factory.mktemp("again"))
        done = port.port()
    assert done.code == 0, done.err
    assert "changed" not in done.err
    port.edit(TRAIN, '"""', '"""Mine. ')
    port.edit("setup.py", "import", "# mine\nimport")
    return port


def newer_porter(folder: Path) -> Path:
    """Return the folder of a newer porter, whose train script has one more line at its end."""
    for name in ("porter", "templates", "references", "containers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = folder / "porter" / "__init__.py"
    package.write_text(package.read_text().replace('__version__ = "', '__version__ = "9.'))
    (script,) = (folder / "templates" / "tao_pytorch" / "classification_pyt").rglob("train.py.jinja")
    script.write_text(script.read_text().rstrip("\n") + "\n# A line of the newer porter.\n")
    return folder


def test_another_option_changes_its_file_and_nothing_else(again: Again) -> None:
    mine = again.text(TRAIN)
    before = visible(again.worktree)
    done = again.port("--set", "train.num_epochs=5", "--json")
    assert done.code == 0, done.err
    assert changed(done) == {SPEC: "updated", TRAIN: "kept: edited by you", "setup.py": "kept: edited by you"}
    assert f"updated   tao-pytorch/{SPEC}" in done.err
    assert f"kept      tao-pytorch/{TRAIN}  (edited by you)" in done.err
    assert "num_epochs: 5" in again.text(SPEC)
    assert again.text(TRAIN) == mine
    assert {path for path, state in visible(again.worktree).items() if state != before[path]} == {SPEC}


def test_a_setting_that_is_refused_is_not_kept(again: Again) -> None:
    options = (again.workspace / "porter.toml").read_text()
    before = visible(again.worktree)
    done = again.port("--set", "train.nonsense=7")
    assert done.code == 2
    assert "changed  set train.nonsense: default -> 7" in done.err
    assert "has no field 'nonsense'" in done.err
    assert (again.workspace / "porter.toml").read_text() == options
    assert visible(again.worktree) == before


@pytest.mark.parametrize("option", ["--name", "--branch", "--base"])
def test_what_would_be_another_port_is_refused(again: Again, option: str) -> None:
    options = (again.workspace / "porter.toml").read_text()
    done = again.port(option, "another")
    assert done.code == 4
    assert "is the workspace of a port with other options" in done.err
    assert "choose another --workspace" in done.err
    assert (again.workspace / "porter.toml").read_text() == options


def test_a_conflict_names_the_file_the_way_and_the_command_and_a_newer_porter_goes_on(
    again: Again, tmp_path: Path
) -> None:
    again.edit(SPEC, "num_epochs: 5", "num_epochs: 6")
    before = visible(again.worktree)
    planned = again.port("--set", "train.num_epochs=8", "--json", command="plan")
    assert planned.code == 1
    assert changed(planned)[SPEC].startswith("conflict")
    assert visible(again.worktree) == before
    done = again.port("--set", "train.num_epochs=8", "--json")
    assert done.code == 7
    assert visible(again.worktree) == before
    both = again.workspace / ".porter" / "conflicts" / "tao-pytorch" / SPEC
    gate = done.gates()["files"]
    assert gate["state"] == "failed"
    assert SPEC in gate["cause"]
    for said in (done.err, gate["fix"]):
        assert str(both) in said
        assert f"porter resume {again.workspace}" in said
    text = both.read_text()
    assert "num_epochs: 6" in text
    assert "num_epochs: 8" in text
    lines = [line for line in text.splitlines() if not line.startswith(("<<<<<<<", "=======", ">>>>>>>"))]
    both.write_text("\n".join(line for line in lines if "num_epochs: 6" not in line) + "\n")
    newer = newer_porter(tmp_path / "newer")
    resume = ("resume", again.workspace, "--until", "3", "--yes", "--json")
    resumed = run_porter(again.cache, *resume, cwd=newer, env={"PYTHONPATH": str(newer)})
    assert resumed.code == 0, resumed.err
    record = json.loads((again.workspace / ".porter" / "phases" / "3.json").read_text())
    assert record["porter"] == "9.0.1.0"
    assert changed(resumed) == {
        SPEC: "merged: settled by you",
        TRAIN: "merged: edited by you",
        "setup.py": "kept: edited by you",
    }
    assert "num_epochs: 8" in again.text(SPEC)
    assert not both.exists()
    assert '"""Mine. ' in again.text(TRAIN)
    assert again.text(TRAIN).endswith("# A line of the newer porter.\n")


def test_undone_and_made_again_of_other_labels(again: Again) -> None:
    mine = {"setup.py": again.text("setup.py")}
    refs = git(again.kit, "for-each-ref")
    undone = run_porter(again.cache, "undo", again.workspace, "--yes", "--json")
    assert undone.code == 0, undone.err
    (repo,) = undone.json["repos"]
    outcomes = {file["path"]: file["outcome"] for file in repo["files"]}
    assert {path for path, outcome in outcomes.items() if outcome != "removed"} == {TRAIN, "setup.py"}
    assert not repo["removed"]
    assert not (again.worktree / PACKAGE / "model").exists()
    assert "again_vit" not in again.text("setup.py")
    assert "# mine" in again.text("setup.py")
    assert git(again.kit, "for-each-ref") == refs
    _relabel(again.model / "config.json", ["wasp", "ant", "moth", "bee"])
    resumed = run_porter(again.cache, "resume", again.workspace, "--until", "3", "--yes", "--json")
    assert resumed.code == 0, resumed.err
    assert not [gate for gate in resumed.json["gates"] if gate["state"] == "failed"]
    assert again.text("setup.py") == mine["setup.py"]
    assert '"""Mine. ' in again.text(TRAIN)
    assert "newer porter" not in again.text(TRAIN)
    results = again.workspace / "results"
    for file in (results / "checkpoint" / "classes.txt", results / "gates" / "evaluate" / "result.csv"):
        assert "wasp" in file.read_text()
        assert "zebra" not in file.read_text()


def _relabel(config: Path, labels: list[str]) -> None:
    facts = json.loads(config.read_text())
    facts["id2label"] = {str(index): label for index, label in enumerate(labels)}
    facts["label2id"] = {label: index for index, label in enumerate(labels)}
    config.write_text(json.dumps(facts))
