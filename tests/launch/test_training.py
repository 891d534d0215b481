"""`porter train --dry-run`: from options to what is shown, with an answer in place of the probe's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.testing
import yaml

from porter.cli import app
from porter.errors import DataError, UsageError
from porter.launch import build, training
from porter.records.skills import SchemaAnswer, SkillSource
from tests.launch.answers import SOURCE
from tests.launch.fields import CLASSIFIER, class_folders, coco, dino_answer, mal_answer, schema_of
from tests.launch.test_cli import porter
from tests.launch.workspaces import finished

PORTED = {
    **CLASSIFIER,
    "dataset.root_dir": {"type": "string", "default": ""},
    "model.head.topk": {"type": "list", "default": [1, 5]},
    "model.backbone.type": {"type": "categorical", "default": "tiny", "enum": ["tiny"]},
}
ANSWERS = {
    "dino": dino_answer(),
    "mal": mal_answer(),
    "classification_pyt": schema_of(CLASSIFIER),
    "tiny_vit": schema_of(PORTED),
}
SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(found: Any, given: object, ui: object) -> tuple[SchemaAnswer, SkillSource]:
        return ANSWERS[found.name], SOURCE

    monkeypatch.setattr(build, "ask", ask)
    monkeypatch.chdir(tmp_path)
    for name in ("NGC_KEY", "NGC_API_KEY", "ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)


def train(*arguments: str | Path) -> str:
    """Run the command in this process and return what it showed."""
    done = typer.testing.CliRunner().invoke(app, ["train", *map(str, arguments), "--dry-run"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def spec(text: str) -> Any:
    """Return the spec that is shown to people."""
    after = text.partition("spec, where it differs from the defaults:\n")[2]
    return yaml.safe_load(after.partition("\n\n")[0])


def test_people_and_machines_are_shown_one_plan(tmp_path: Path) -> None:
    arguments = ("dino", "--train-data", coco(tmp_path / "d"), "--set", "num_classes=5", "--gpus", "2")
    text, document = train(*arguments), json.loads(train(*arguments, "--format", "json"))
    assert spec(text) == document["spec"]
    assert document["spec"]["train"] == {"num_gpus": 2, "gpu_ids": [0, 1]}
    assert document["data"]["train"]["annotations"] == 3
    for said in (
        "command   dino train -e {config_path}",
        f"image     {document['image']}",
        "3 images, 3 annotations, 2 categories, greatest category id 4",
        f"{tmp_path / 'd'} -> /data/train",
        "NGC_KEY or NGC_API_KEY: missing",
        "warning   there is no validation set",
    ):
        assert said in text


def test_small_numbers_stay_numbers_in_the_spec(tmp_path: Path) -> None:
    text = train("mal", "--train-data", coco(tmp_path / "d"), "--set", "lr=2e-7")
    assert spec(text)["train"]["lr"] == 2e-7


def test_class_folders_are_planned_whole(tmp_path: Path) -> None:
    data, other = class_folders(tmp_path / "t", {"a": 2, "b": 1}), tmp_path / "v"
    class_folders(other, {"a": 1}, split="val")
    text = train("classification_pyt", "--train-data", data, "--eval-data", other, "--set", "num_classes=2")
    assert "3 images in 2 classes of 1 to 2" in text
    assert spec(text)["dataset"] == {
        "train_dataset": {"images_dir": "/data/train/images_train"},
        "val_dataset": {"images_dir": "/data/eval/images_val"},
        "classes_file": "/data/train/classes.txt",
        "num_classes": 2,
    }


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_KEY", SECRET)
    monkeypatch.setenv("ACCESS_KEY", SECRET)
    arguments = ("dino", "--train-data", "s3://bucket/d", "--set", "num_classes=5")
    for form in ("text", "json"):
        shown = train(*arguments, "--set", f"encryption_key={SECRET}", "--format", form)
        assert SECRET not in shown
        assert "(not shown)" in shown
    assert "NGC_KEY or NGC_API_KEY: set, for" in train(*arguments)
    assert "SECRET_KEY or AWS_SECRET_ACCESS_KEY: missing" in train(*arguments)


def test_an_image_takes_the_place_of_the_catalogs(tmp_path: Path) -> None:
    data = coco(tmp_path / "d")
    assert "image     own/tao:7.0.1\n" in train("mal", "--train-data", data, "--image", "own/tao:7.0.1")
    with pytest.raises(UsageError, match="names no image"):
        train("mal", "--train-data", data, "--image", "no image")
    here = train("mal", "--train-data", data, "--platform", "virtualenv", "--image", "own/tao:1")
    assert "image     " not in here
    assert "--image is not used" in here


def test_nodes_are_shown_with_their_variables(tmp_path: Path) -> None:
    text = train(*("mal", "--train-data", coco(tmp_path / "d"), "--platform", "kubernetes", "--nodes", "2"))
    assert "WORLD_SIZE=2 NODE_RANK=1 MASTER_ADDR={address of node 0} MASTER_PORT=29500" in text


@pytest.mark.parametrize("uri", ["gone.pth", "https://x/y.pth", "s3://me:pw@bucket/x.pth"])
def test_a_checkpoint_that_cannot_be_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises((DataError, UsageError)) as caught:
        train("mal", "--train-data", coco(tmp_path / "d"), "--base-checkpoint", uri)
    assert "pw" not in str(caught.value)


def test_checkpoints_are_files_or_names(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"")
    assert training.checkpoint("x.pth") == str(tmp_path / "x.pth")
    for uri in ("s3://bucket/x.pth", "nvidia/tao/mask_auto_label:trainable_v1.0"):
        assert training.checkpoint(uri) == uri


def test_a_bad_validation_set_is_found(tmp_path: Path) -> None:
    data, other = coco(tmp_path / "d"), coco(tmp_path / "v")
    (other / "images" / "0.jpg").unlink()
    with pytest.raises(DataError, match="1 of 3 images"):
        train("mal", "--train-data", data, "--eval-data", other)


def test_an_unreadable_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coco(tmp_path / "d")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match="cannot be read"):
        train("mal", "--train-data", data)


def test_a_ported_model_starts_from_its_converted_weights(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    data, other = (
        class_folders(tmp_path / split, {"bee": 2, "ant": 1}, split=split) for split in ("train", "val")
    )
    arguments: tuple[str | Path, ...] = ("--train-data", data, "--eval-data", other, "--set", "num_classes=2")
    arguments = (*arguments, "--platform", "virtualenv", "--automl", "off")
    plans = [
        json.loads(train(model, *arguments, "--format", "json")) for model in ("tiny_vit", workspace.root)
    ]
    assert plans[0] == plans[1]
    made = plans[0]["spec"]
    weights = workspace.results / "checkpoint" / "tiny_vit.pth"
    assert made["model"]["backbone"] == {"pretrained_backbone_path": str(weights)}
    assert made["dataset"]["root_dir"] == str(data)
    # Of two classes there are no best five.
    assert made["model"]["head"] == {"topk": [1]}
    assert plans[0]["command"] == "tiny_vit train -e {config_path}"
    mine = json.loads(train("tiny_vit", *arguments, "--set", "model.head.topk=[1,2]", "--format", "json"))
    assert mine["spec"]["model"]["head"] == {"topk": [1, 2]}


@pytest.mark.parametrize("platform", ["docker", "kubernetes", "virtualenv"])
def test_a_folder_of_files_is_not_staged_whole(tmp_path: Path, platform: str) -> None:
    finished(tmp_path / "port")
    data = ("--train-data", "s3://b/d", "--eval-data", "s3://b/v", "--set", "num_classes=2")
    made = json.loads(train("tiny_vit", *data, "--platform", platform, "--format", "json"))
    root, classes = made["spec"]["dataset"]["root_dir"], made["spec"]["dataset"]["classes_file"]
    assert classes == f"{root}/classes.txt"
    sources = {staged["source"]: staged["target"] for staged in made["staged"]}
    assert sources["s3://b/d/classes.txt"] == classes
    assert "s3://b/d" not in sources


def test_converted_weights_that_are_gone_are_missed_before_a_job_does(tmp_path: Path) -> None:
    workspace = finished(tmp_path / "port")
    weights = workspace.results / "checkpoint" / "tiny_vit.pth"
    weights.unlink()
    arguments = ("tiny_vit", "--train-data", "s3://b/d", "--eval-data", "s3://b/v", "--set", "num_classes=2")
    with pytest.raises(DataError, match=f"{weights} is gone") as error:
        train(*arguments)
    assert str(workspace.root) in error.value.next_step
    (tmp_path / "own.pth").write_bytes(b"")
    assert "own.pth" in train(*arguments, "--base-checkpoint", "own.pth")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "dino"], 2, "No training data was given"),
        (["train", "dinno"], 2, "near it: dino"),
        (["train", "dino", "--dry-run"], 2, "No training data was given"),
        (["train", "dino", "--dry-run", "--platform", "lepton"], 2, "expected one of docker, kubernetes"),
        (["train", "dino", "--dry-run", "--automl", "maybe"], 2, "expected one of on, off"),
        (["train", "dino", "--dry-run", "--gpus", "-1"], 2, "a number from 0 on"),
        (["train", "dino", "--dry-run", "--nodes", "-1"], 2, "a number from 1 on"),
        (["train", "dino", "--dry-run", "--format", "yaml"], 2, "formats: text, json"),
        (["train", "dino", "--dry-run", "--train-data", "gone"], 9, "is no folder"),
        (["train", "dino", "--dry-run", "--train-data", "s3://b/d"], 4, "no clone of tao-pytorch"),
    ],
)
def test_usage_errors_say_what_to_do(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = porter(tmp_path, *arguments)
    assert (done.code, "Traceback" in done.err) == (code, False), done.err
    assert said in done.err
    assert not done.out
