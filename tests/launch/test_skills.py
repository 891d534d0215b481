"""The package of a network: its files, and the folder that they are put into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.errors import ConflictError, PorterError, WorkspaceError
from porter.launch import build, catalog, skills
from porter.records.catalog import CatalogEntry
from porter.records.skills import BuiltSkill, DeploySchema, SchemaAnswer, SkillSource
from porter.ui import Ui
from tests.launch.answers import SCHEMA, SOURCE, TOY, answer, toy

FILES = {
    "SKILL.md",
    "references/skill_info.yaml",
    *(f"references/spec_template_{action}.yaml" for action in ("train", "evaluate", "inference")),
    *(f"schemas/{action}.schema.json" for action in ("train", "evaluate", "inference")),
    "schemas/manifest.json",
}

Build = Callable[[Path], BuiltSkill]


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    found = toy(tmp_path)
    monkeypatch.setattr(catalog, "entry", lambda name: found)
    return found


@pytest.fixture
def write(entry: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Writes the package into a folder, with an answer in place of the probe's."""

    def asked(found: CatalogEntry, given: object, ui: Ui) -> tuple[SchemaAnswer, SkillSource]:
        return answer(), SOURCE

    monkeypatch.setattr(build, "ask", asked)
    return lambda folder: build.build("toy", {}, str(folder), Ui(quiet=True))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def loaded(files: dict[str, bytes], name: str) -> Any:
    return yaml.safe_load(files[name]) if name.endswith(".yaml") else json.loads(files[name])


def test_the_package_has_every_file_and_equal_bytes_each_time(entry: CatalogEntry) -> None:
    files = skills.package(entry, answer(), SOURCE)
    assert set(files) == FILES
    assert files == skills.package(entry, answer(), SOURCE)


def test_a_template_is_the_default_of_its_schema(entry: CatalogEntry) -> None:
    files = skills.package(entry, answer(), SOURCE)
    for action in entry.actions:
        schema = loaded(files, f"schemas/{action}.schema.json")
        assert loaded(files, f"references/spec_template_{action}.yaml") == schema["default"]


def test_skill_info_is_what_a_runner_reads(entry: CatalogEntry) -> None:
    info = loaded(skills.package(entry, answer(), SOURCE), "references/skill_info.yaml")
    train = info["actions"]["train"]
    assert train["command"] == "toy train -e {config_path}"
    assert (train["config_format"], train["mode"]) == ("yaml", "config")
    assert train["inputs"] == {
        "dataset.sources[0].image_dir": {"type": "folder", "optional": False},
        "dataset.labels": {"type": "file", "optional": False},
    }
    assert "container_image" not in train
    assert info["actions"]["inference"]["container_image"] == catalog.image("toy", "inference").image
    assert info["container_image"] == catalog.image("toy", "train").image
    sources = info["data_sources"]["train"]["dataset.sources"]
    assert (sources["source"], sources["multiple_sources"]) == ("train_datasets", True)
    assert sources["mapping"]["image_dir"] == {"path": "images.tar.gz", "runtime": "images", "type": "folder"}
    assert info["data_format"] == "a"
    assert info["data_sources"]["train"]["dataset.labels"]["path"] == "a.json"
    assert info["data_format_settings"] == {"dataset.type": "a"}
    assert info["spec_params"]["train"] == {"results_dir": "output_dir", "encryption_key": "key"}
    assert info["key_defaults"] == {"encryption_key": "tlt_encode"}


def test_a_runner_is_told_to_bring_checkpoints_too() -> None:
    actions = skills.skill_info(catalog.entry("dino"))["actions"]
    train, export = actions["train"]["inputs"], actions["export"]["inputs"]
    for key in ("model.pretrained_backbone_path", "train.resume_training_checkpoint_path"):
        assert train[key] == {"type": "file", "optional": True}
    # What the action makes is none of its inputs.
    assert export == {"export.checkpoint": {"type": "file", "optional": False}}
    # Evaluation takes one of these.
    for key in ("evaluate.checkpoint", "evaluate.trt_engine"):
        assert actions["evaluate"]["inputs"][key] == {"type": "file", "optional": True}
    assert actions["gen_trt_engine"]["inputs"]["gen_trt_engine.onnx_file"]["optional"] is False


def test_the_manifest_lists_actions_and_differences(entry: CatalogEntry) -> None:
    files = skills.package(entry, answer(), SOURCE)
    manifest = loaded(files, skills.MANIFEST)
    for action, row in manifest["actions"].items():
        assert f"schemas/{row['path']}" in files
        assert row["spec_template"] == f"../references/spec_template_{action}.yaml"
        assert row["automl_default_parameters"]
    made = manifest[skills.MADE]
    assert made["differences"] == [{"key": "train.batch_size", "value": 3, "default_value": 1}]
    assert [overlay["key"] for overlay in made["overlays"]] == ["train.lr"]
    assert set(made["files"]) == FILES - {skills.MANIFEST}


def test_the_page_has_front_matter_and_says_what_matters(entry: CatalogEntry) -> None:
    page = skills.package(entry, answer(), SOURCE)["SKILL.md"].decode()
    _, front, body = page.split("---\n", 2)
    assert yaml.safe_load(front) == {"name": "tao-train-toy", "description": entry.description}
    for word in (
        "`train.lr`",
        "1e-07 to 1e-05",
        "one\\|two",
        "`model.crop`",
        "`huge`",
        "`dataset.type=a`",
        "train.batch_size",
    ):
        assert word in body


def test_a_package_is_written_whole_and_again_over_itself(write: Build, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "toy"
    made = write(folder)
    before = tree(folder)
    assert set(before) == FILES == set(made.files)
    assert made.searched == ("model.arch", "model.z", "train.lr")
    write(folder)
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_a_folder_of_somebody_else_is_left_alone(write: Build, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="porter did not write"):
        write(folder)
    assert tree(folder) == {"mine.txt": b"mine"}


def test_a_manifest_of_somebody_else_is_not_porters(write: Build, tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    (folder / "schemas").mkdir(parents=True)
    for text in ('{"model": "x"}', "[]", "no json", '{"x_porter": []}'):
        (folder / skills.MANIFEST).write_text(text)
        with pytest.raises(ConflictError, match="porter did not write"):
            write(folder)


@pytest.mark.parametrize("name", ["SKILL.md", "references/notes.md"])
def test_what_a_person_changed_or_added_is_named_and_kept(write: Build, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "toy"
    write(folder)
    (folder / name).write_text("mine")
    before = tree(folder)
    with pytest.raises(ConflictError) as error:
        write(folder)
    assert name in error.value.what
    assert tree(folder) == before


def test_an_empty_folder_is_filled(write: Build, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    assert set(tree(tmp_path / "empty")) == FILES


def test_a_file_or_link_in_the_way_is_refused(write: Build, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(WorkspaceError, match="is no folder"):
            write(tmp_path / name)
    with pytest.raises(PorterError, match="could not be written"):
        write(tmp_path / "file" / "below")


def test_nothing_is_half_written(write: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "place" / "toy"
    write(folder)
    before = tree(folder)
    whole = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PorterError, match="could not be written") as error:
        write(folder)
    assert "No space left" in error.value.why
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_a_rename_that_fails_brings_the_old_package_back(
    write: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "place" / "toy"
    write(folder)
    before = tree(folder)
    real = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PorterError, match="could not be written"):
        write(folder)
    assert tree(folder) == before


DEPLOY_FILES = {f"references/spec_template_deploy_{action}.yaml" for action in ("evaluate", "inference")}
"""The network's one action of the deploy image, and the one that runs on engines too."""


def deploy_schema() -> DeploySchema:
    """Return a schema in which evaluation has another default than the trainer's."""
    changed = json.loads(json.dumps(SCHEMA))
    changed["default"]["evaluate"] = {"trt_engine": "???"}
    source = SkillSource(
        config="deploy.config.toy.default_config:ExperimentConfig",
        repository="tao-deploy",
        version="7.0.1",
        commit="beef",
    )
    return DeploySchema(answer=answer(changed), source=source)


def test_engines_have_templates_of_tao_deploys_own_dataclasses(entry: CatalogEntry) -> None:
    files = skills.package(entry, answer(), SOURCE, deploy_schema())
    assert set(files) == FILES | DEPLOY_FILES
    deployed = loaded(files, "references/spec_template_deploy_evaluate.yaml")
    assert deployed["evaluate"] == {"trt_engine": "???"}
    assert "inference" not in deployed
    assert loaded(files, "references/spec_template_evaluate.yaml")["evaluate"] == {"batch_size": 1}
    made = loaded(files, skills.MANIFEST)[skills.MADE]
    assert made["deploy"]["source"]["commit"] == "beef"
    assert {f"references/{Path(path).name}" for path in made["deploy"]["spec_templates"].values()} == (
        DEPLOY_FILES
    )
    assert set(made["files"]) == set(files) - {skills.MANIFEST}


def test_a_package_says_that_it_has_no_templates_for_engines(write: Build, tmp_path: Path) -> None:
    made = write(tmp_path / "toy")
    manifest = json.loads((tmp_path / "toy" / skills.MANIFEST).read_bytes())
    assert "no clone of tao-deploy" in manifest[skills.MADE]["deploy"]["missing"]
    assert made.notes == (f"no spec templates for tao-deploy: {manifest[skills.MADE]['deploy']['missing']}",)


def test_nobody_looks_for_what_a_network_does_not_have(entry: CatalogEntry, tmp_path: Path) -> None:
    plain = toy(
        tmp_path, TOY.replace('engine = "evaluate.trt_engine"\n', "").replace('image = "deploy"\n', "")
    )
    assert build.ask_deploy(plain, {"tao-deploy": "/nowhere"}, Ui(quiet=True)) is None
    assert "deploy" not in loaded(skills.package(plain, answer(), SOURCE), skills.MANIFEST)[skills.MADE]


def test_a_clone_that_was_named_has_to_be_one(entry: CatalogEntry, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="nowhere"):
        build.ask_deploy(entry, {"tao-deploy": str(tmp_path / "nowhere")}, Ui(quiet=True))
