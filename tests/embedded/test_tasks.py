"""The kit trains, evaluates, infers and exports, and does to the last digit what the real tree does."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.records.sandbox import Environment
from tests.embedded.conftest import KIT, Tasks, variables

pytestmark = pytest.mark.torch_env

CLASSES = ["zebra", "ant", "cat"]
RANDOM_MASK = "encryption_key:"
"""obfuscate_logs masks the key with a random number of stars."""


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_training_leaves_a_tagged_checkpoint_and_a_link_to_the_newest(kit: Tasks) -> None:
    files = {name for name in kit.answer["files"] if "/lightning_logs/" not in name}
    assert {name for name in files if name.startswith("train/")} == {
        "train/classifier_model_latest.pth",
        "train/experiment.yaml",
        "train/model_epoch_000.pth",
        "train/model_epoch_001.pth",
        "train/status.json",
    }
    assert kit.answer["latest"]
    assert kit.answer["tao_model"] == "classification"
    assert all(name.startswith("model.") for name in kit.answer["weights"])


def test_results_name_every_class_in_the_order_of_classes_txt(kit: Tasks) -> None:
    evaluated = rows(kit.answer["csv"]["evaluate"])
    assert list(evaluated[0]) == ["img_name", *CLASSES, "pred_label", "pred_score", "gt_label"]
    assert len(evaluated) == 12
    for row in evaluated:
        assert Path(row["img_name"]).parent.name == row["gt_label"]
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1)
        assert float(row[row["pred_label"]]) == float(row["pred_score"])
    inferred = rows(kit.answer["csv"]["inference"])
    assert list(inferred[0]) == ["img_name", "pred_label", "pred_score"]
    pictures = {name for name in kit.answer["files"] if name.startswith("inference/visualize/")}
    assert {Path(name).name for name in pictures} == {Path(row["img_name"]).name for row in inferred}


def test_the_status_log_tells_start_metrics_and_end(kit: Tasks) -> None:
    train = kit.answer["status"]["train"]
    assert (train[0]["status"], train[0]["message"]) == ("STARTED", "Starting Classification train.")
    assert (train[-1]["status"], train[-1]["message"]) == ("RUNNING", "Train finished successfully.")
    assert [line["step"] for line in train if line["message"] == "Training loop in progress"] == [5, 10]
    metrics = [line["kpi"] for line in train if line["message"] == "Eval metrics generated."]
    assert [sorted(metric) for metric in metrics] == [["val_acc_1", "val_acc_2", "val_loss"]] * 2
    tested = [
        line for line in kit.answer["status"]["evaluate"] if line["message"] == "Test metrics generated."
    ]
    hits = [row["pred_label"] == row["gt_label"] for row in rows(kit.answer["csv"]["evaluate"])]
    assert tested[0]["kpi"]["val_acc_1"] == pytest.approx(sum(hits) / len(hits))


def test_the_exported_model_takes_any_batch(kit: Tasks) -> None:
    assert kit.answer["ports"] == [["input", ["batch_size", 3, 32, 32]], ["output", ["batch_size", 3]]]
    assert [len(logits) for logits in kit.answer["onnx"].values()] == [1, 2, 5]


def test_every_kind_of_failure_ends_the_status_log_in_its_own_words(kit: Tasks) -> None:
    endings = kit.answer["endings"]
    assert endings["KeyboardInterrupt"]["escaped"] == ""
    assert endings["ValueError"]["message"] == "Parameter validation error: x"
    assert endings["FileNotFoundError"]["message"] == "File system error: x"
    # The real tree leaves the log of a crash open, and so must the kit, for gates to be tried on it.
    assert endings["RuntimeError"]["status"] == "STARTED"
    assert endings["RuntimeError"]["escaped"] == "RuntimeError"


def test_a_frozen_backbone_trains_its_head_alone(kit: Tasks) -> None:
    assert kit.answer["frozen"]["trainable"] == ["head.weight", "head.bias"]


def test_without_a_gpu_the_command_line_fails_as_the_real_one_does(
    tao_environment: Environment, dataset: Path, tmp_path: Path
) -> None:
    spec = {
        "results_dir": str(tmp_path / "results"),
        "dataset": {
            "root_dir": str(dataset),
            "num_classes": 3,
            "img_size": 32,
            "workers": 0,
            **{
                f"{split}_dataset": {"images_dir": str(dataset / split)} for split in ("train", "val", "test")
            },
        },
        "train": {"num_epochs": 1, "num_gpus": 1, "gpu_ids": [0]},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    done = command_line(tao_environment, tmp_path, "train", "-e", str(tmp_path / "spec.yaml"))
    assert done.returncode == 1
    assert "No supported gpu backend found!" in done.stdout
    assert "Execution status: FAIL" in done.stderr
    status = (tmp_path / "results" / "train" / "status.json").read_text().splitlines()
    assert "FAILURE" not in status[-1]


def test_a_spec_with_an_unknown_key_is_refused(
    tao_environment: Environment, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text("train:\n  num_epoch: 3\n")
    script = KIT / "nvidia_tao_pytorch/cv/classification_pyt/scripts/train.py"
    done = subprocess.run(
        [tao_environment.python, str(script), "--config-path", str(tmp_path), "--config-name", "spec.yaml"],
        cwd=tmp_path,
        env=variables(tao_environment, KIT, home=tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "num_epoch" in done.stderr
    assert not list(tmp_path.rglob("status.json"))


def test_default_specs_writes_the_schema_without_a_spec_or_a_gpu(
    tao_environment: Environment, kit: Tasks, tmp_path: Path
) -> None:
    done = command_line(tao_environment, tmp_path, "default_specs", f"results_dir={tmp_path / 'specs'}")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((tmp_path / "specs" / "experiment.yaml").read_text()) == kit.answer["defaults"]


@pytest.mark.real_tao
@pytest.mark.parametrize(
    "part",
    [
        "latest",
        "checkpoint_keys",
        "tao_model",
        "weights",
        "csv",
        "ports",
        "onnx",
        "schedules",
        "frozen",
        "features",
        "names and positions",
        "endings",
        "refusals",
    ],
)
def test_the_real_tree_does_the_very_same(kit: Tasks, real: Tasks, part: str) -> None:
    assert kit.answer["tree"] != real.answer["tree"]
    assert kit.answer[part] == real.answer[part]


@pytest.mark.real_tao
def test_the_real_tree_writes_the_same_files_and_the_same_status(kit: Tasks, real: Tasks) -> None:
    assert _without_times(kit.answer["files"]) == _without_times(real.answer["files"])
    for task, lines in kit.answer["status"].items():
        assert _comparable(kit, lines) == _comparable(real, real.answer["status"][task])
    assert _comparable(kit, kit.answer["resumed"]) == _comparable(real, real.answer["resumed"])


@pytest.mark.real_tao
def test_the_real_schema_has_the_same_fields_defaults_and_metadata(kit: Tasks, real: Tasks) -> None:
    ours, theirs = kit.answer["metadata"], real.answer["metadata"]
    assert set(theirs) - set(ours) == {"ClassDistillationConfig", "ClearMLConfig", "QuantCalibrationDataset"}
    assert theirs["ExperimentConfig"].pop("distill")
    for fields in (ours["BackboneConfig"], theirs["BackboneConfig"]):
        assert fields["type"].pop("default_value") in fields["type"].pop("valid_options").split(",")
    assert {name: theirs[name] for name in ours} == ours
    assert real.answer["defaults"].pop("distill")
    for answer in (kit.answer, real.answer):
        del answer["defaults"]["model"]["backbone"]["type"]
    assert kit.answer["defaults"] == real.answer["defaults"]


def command_line(environment: Environment, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the kit's console script as its setup.py declares it."""
    code = "from nvidia_tao_pytorch.cv.classification_pyt.entrypoint.classification import main; main()"
    return subprocess.run(
        [environment.python, "-c", code, *arguments],
        cwd=home,
        env=variables(environment, KIT, home=home),
        capture_output=True,
        text=True,
        check=False,
    )


def _without_times(files: list[str]) -> list[str]:
    return sorted(name.partition("/events.out")[0] for name in files)


def _comparable(tasks: Tasks, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return status lines without the folder of the run, and the logged spec as its first line."""
    result = []
    for line in lines:
        message = line["message"].replace(str(tasks.folder), "")
        result.append({**line, "message": message.splitlines()[0] if RANDOM_MASK in message else message})
    return result
