"""What platforms are asked for: specs with what jobs take from data, checkpoints and earlier jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from porter.errors import DataError, UsageError
from porter.launch import catalog, requests
from porter.launch.requests import Asked
from porter.records.catalog import CatalogEntry
from porter.records.jobs import Job
from porter.records.training import DataFacts, Mount, TrainPlan
from tests.launch.test_plan import OTHER, REMOTE, TRAIN, dino, planned

FOUND = catalog.entry("dino")
EXPORT = Job(name="export", action="export")
VAL = DataFacts(uri="s3://bucket/val", kind="remote")


def after(plan: TrainPlan, action: str, checkpoint: str = "/r/train/x.pth", **more: Any) -> Any:
    job = Job(name=action, action=action)
    return requests.after(FOUND, plan, Path("/runs/dino-1"), job, checkpoint, **more)


def test_a_container_gets_data_checkpoint_and_the_folder_of_what_was_staged(tmp_path: Path) -> None:
    plan = dino(platform="docker", facts={"train": TRAIN, "eval": OTHER})
    made = after(plan, "evaluate", "/runs/dino-1/results/j/results_dir/train/x.pth")
    assert made.spec["evaluate"]["checkpoint"] == "/runs/dino-1/results/j/results_dir/train/x.pth"
    assert made.spec["dataset"]["test_data_sources"] == {
        "image_dir": "/data/eval/images",
        "json_file": "/data/eval/annotations.json",
    }
    assert "results_dir" not in made.spec
    where = "/runs/dino-1/results/j/results_dir/train"
    assert set(made.mounts) == {
        Mount(source="/home/me/train", target="/data/train"),
        Mount(source="/home/me/val", target="/data/eval"),
        Mount(source=where, target=where),
    }


def test_what_training_started_from_is_dropped_and_what_a_trial_had_is_kept() -> None:
    plan = dino("lr=0.1", "train.pretrained_model_path=/w/x.pth", "backbone=fan_tiny")
    made = after(plan, "export", trained={"train.optim.lr": 0.2, "model.num_feature_levels": 3})
    assert made.spec["train"]["optim"]["lr"] == 0.2
    assert made.spec["model"] == {"backbone": "fan_tiny", "num_feature_levels": 3}
    assert "pretrained_model_path" not in made.spec["train"]
    assert made.spec["export"] == {
        "checkpoint": "/r/train/x.pth",
        "onnx_file": "${results_dir}/dino.onnx",
    }


def test_the_graph_of_a_port_lies_in_the_folder_of_its_export(tmp_path: Path) -> None:
    plan = dino("backbone=fan_tiny", platform="virtualenv")
    made = requests.after(ported(tmp_path), plan, Path("/runs/dino-1"), EXPORT, "/r/x.pth")
    assert made.spec["export"]["onnx_file"] == "${results_dir}/export/dino.onnx"


def test_a_setting_of_a_person_comes_last() -> None:
    made = after(
        dino(), "export", asked=Asked({}, {"export.onnx_file": "/mine.onnx", "export.batch_size": 4})
    )
    assert made.spec["export"]["onnx_file"] == "/mine.onnx"
    assert made.spec["export"]["batch_size"] == 4


def test_an_engine_is_no_checkpoint() -> None:
    made = after(dino(facts={"train": TRAIN, "eval": OTHER}), "evaluate")
    assert "trt_engine" not in made.spec["evaluate"]


def test_a_training_that_goes_on_takes_no_other_checkpoint() -> None:
    plan = dino("train.pretrained_model_path=/w/x.pth")
    made = requests.train(FOUND, plan, Path("/runs/dino-1"), resume="/r/train/x.pth")
    assert made.spec["train"]["resume_training_checkpoint_path"] == "/r/train/x.pth"
    assert "pretrained_model_path" not in made.spec["train"]
    assert plan.spec["train"]["pretrained_model_path"] == "/w/x.pth"


def test_a_container_sees_the_checkpoint_that_its_training_goes_on_from() -> None:
    left = "/runs/dino-1/results/j/results_dir/train"
    made = requests.train(
        FOUND,
        dino("train.pretrained_model_path=/w/x.pth", platform="docker"),
        Path("/runs/dino-1"),
        resume=f"{left}/x.pth",
    )
    assert Mount(source=left, target=left) in made.mounts


def test_a_value_of_a_section_that_is_nothing_in_a_template_makes_the_section() -> None:
    assert requests.with_values({"distill": None}, {"distill.teacher.lr": 1}) == {
        "distill": {"teacher": {"lr": 1}}
    }


@pytest.mark.parametrize("platform", ["kubernetes", "brev", "slurm"])
def test_other_machines_fetch_s3_by_themselves(platform: str) -> None:
    plan = dino("backbone=fan_tiny", facts={"train": REMOTE, "eval": VAL}, platform=platform)
    made = requests.train(FOUND, plan, Path("/runs/dino-1"))
    sources = made.spec["dataset"]["train_data_sources"]
    assert sources == [
        {
            "image_dir": "s3://bucket/train/images.tar.gz",
            "json_file": "s3://bucket/train/annotations.json",
        }
    ]
    assert "dataset.train_data_sources[0].image_dir" in made.inputs
    evaluated = after(plan, "evaluate", "s3://results/results/j/results_dir/train/x.pth")
    assert evaluated.spec["dataset"]["test_data_sources"]["json_file"] == "s3://bucket/val/annotations.json"
    # What the training has left lies in the bucket too.
    assert {"evaluate.checkpoint", "dataset.test_data_sources.json_file"} <= set(evaluated.inputs)


def test_a_checkpoint_of_ngc_has_the_scheme_that_nvidias_runner_knows() -> None:
    plan = dino(facts={"train": REMOTE}, platform="kubernetes")
    made = requests.train(FOUND, plan, Path("/runs/dino-1"))
    assert made.spec["model"]["pretrained_backbone_path"] == (
        "ngc://nvidia/tao/pretrained_dino_nvimagenet:resnet50"
    )


def test_what_lies_here_goes_to_no_other_machine() -> None:
    plan = dino("backbone=fan_tiny", platform="kubernetes")
    with pytest.raises(DataError, match="lies on this machine"):
        requests.train(FOUND, plan, Path("/runs/dino-1"))


def ported(tmp_path: Path) -> CatalogEntry:
    """Return DINO as if it were a port, whose worktree declares its command."""
    worktree = tmp_path / "tao-pytorch"
    worktree.mkdir()
    (worktree / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(entry_points={'console_scripts': ['dino=pkg.cv.dino.entrypoint.dino:main']})\n"
    )
    return msgspec.structs.replace(FOUND, workspace=str(tmp_path))


def test_the_code_of_a_port_is_mounted_into_nvidias_image(tmp_path: Path) -> None:
    made = requests.train(ported(tmp_path), dino("backbone=fan_tiny"), Path("/runs/dino-1"))
    assert Mount(source=str(tmp_path / "tao-pytorch"), target="/code/tao-pytorch") in made.mounts
    assert made.command.startswith("env PYTHONPATH=/code/tao-pytorch python3 -c ")
    assert "from pkg.cv.dino.entrypoint.dino import main; main()" in made.command
    assert made.command.endswith(" train -e {config_path}")


def test_an_image_that_a_person_named_has_the_code(tmp_path: Path) -> None:
    plan = dino("backbone=fan_tiny", image="own:1")
    made = requests.train(ported(tmp_path), plan, Path("/runs/dino-1"))
    assert made.command == "dino train -e {config_path}"
    assert [mount.target for mount in made.mounts] == ["/data/train"]


def test_a_platform_that_shows_no_folders_needs_an_image_with_the_code(tmp_path: Path) -> None:
    plan = dino("backbone=fan_tiny", facts={"train": REMOTE}, platform="kubernetes")
    with pytest.raises(UsageError, match="has no command of dino") as caught:
        requests.train(ported(tmp_path), plan, Path("/runs/dino-1"))
    assert "--image REF" in caught.value.next_step


def test_pseudo_labels_of_mal_are_a_file_in_its_results() -> None:
    found = catalog.entry("mal")
    asked = Asked({"inference": DataFacts(uri="/home/me/more", kind="files")}, {})
    job = Job(name="inference", action="inference")
    made = requests.after(found, planned("mal"), Path("/runs/mal-1"), job, "/r/x.pth", asked=asked)
    assert made.spec["inference"]["label_dump_path"] == "mal_labels.json"


def test_what_was_staged_and_is_lost_is_told(tmp_path: Path) -> None:
    plan = dino("backbone=fan_tiny", facts={"train": REMOTE}, platform="virtualenv")
    with pytest.raises(DataError, match=r"is not in .* any more") as caught:
        requests.train(FOUND, plan, tmp_path)
    assert "porter resume" in caught.value.next_step
