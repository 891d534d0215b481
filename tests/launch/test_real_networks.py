"""DINO and MAL of the real tao-pytorch: trained, evaluated, exported and asked by `porter train`, on the CPU.

What TAO asks of a GPU is answered in the jobs alone, see `cpu_tao`:
- the accelerator and the devices of all tasks (core/initialize_experiments.py:101-105, 134-136, 164-166)
- the compiled operator (cv/deformable_detr/model/ops/modules.py:97), whose plain torch is in the same module
- devices that stand in words (cv/dino/model/criterion.py:189-256, cv/dino/model/dn_components.py:32-109)
- `torch.cuda.set_device` of DINO's export (cv/dino/scripts/export.py:84)
- 16-mixed (cv/mal/scripts/evaluate.py:51, inference.py:59), and the device's number, of which a CPU has none
  (cv/mal/models/mal.py:932)

Two more are settings: MAL halves its images with `train.use_amp` whatever the precision is (mal.py:322), and
DINO's export loads the model to a GPU without `export.on_cpu`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from porter.launch import catalog
from porter.launch.progress import metric_of, read_progress
from porter.records.base import from_json
from porter.records.jobs import Job, Run
from porter.records.progress import Progress
from porter.records.sandbox import Environment
from tests.conftest import REAL_CACHE
from tests.e2e.conftest import Done, run_porter
from tests.launch.cpu_tao import cpu_venv, shapes
from tests.real_clones import real_clone
from tests.repositories import git

pytestmark = [pytest.mark.torch_env, pytest.mark.real_tao]

SCRIPTS = {
    "dino": "nvidia_tao_pytorch.cv.dino.entrypoint.dino:main",
    "mal": "nvidia_tao_pytorch.cv.mal.entrypoint.mal:main",
}
SIZE = 96
DINO = {
    "num_classes": 5,
    "backbone": "resnet_34",
    "epochs": 1,
    "batch_size": 2,
    "num_queries": 8,
    "model.num_select": 6,
    "model.enc_layers": 1,
    "model.dec_layers": 1,
    "model.dim_feedforward": 32,
    "model.dn_number": 2,
    "dataset.workers": 1,
    "dataset.augmentation.scales": [SIZE],
    "dataset.augmentation.train_random_resize": [SIZE],
    "dataset.augmentation.train_random_crop_min": 64,
    "dataset.augmentation.train_random_crop_max": SIZE,
    "dataset.augmentation.random_resize_max_size": SIZE,
    "dataset.augmentation.test_random_resize": SIZE,
    "export.input_width": SIZE,
    "export.input_height": SIZE,
    "export.on_cpu": "true",
}
MAL = {
    "arch": "vit-deit-small/16",
    "epochs": 1,
    "batch_size": 4,
    "crop_size": 256,
    "model.mask_head_hidden_channel": 16,
    "model.mask_head_out_channel": 16,
    "train.crf_num_iter": 2,
    "train.use_amp": "false",
    "dataset.num_workers_per_gpu": 0,
}

_WEIGHTS = "import sys, torch; torch.save({'model': {'cls_token': torch.zeros(1, 1, 384)}}, sys.argv[1])"
_ONNX = """
import json, onnx, sys
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model)
print(json.dumps([[value.name for value in values] for values in (model.graph.input, model.graph.output)]))
"""


@dataclass(frozen=True)
class Bench:
    """A folder with data and runs, and the environment that has TAO."""

    folder: Path
    cache: Path
    venv: Path
    python: str

    def porter(self, *arguments: str | Path) -> Done:
        """Run a command here."""
        return run_porter(self.cache, *arguments, cwd=self.folder)

    def train(self, model: str, settings: dict[str, Any], *more: str) -> Run:
        """Train a network for one epoch of two steps, and evaluate it."""
        pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        here = ("--platform", "virtualenv", "--venv", self.venv, "--gpus", "0", "--automl", "off", "--yes")
        data = ("--train-data", "train", "--eval-data", "eval", "--tao-pytorch", real_clone("tao-pytorch"))
        done = self.porter("train", model, *data, *here, *pairs, *more)
        assert done.code == 0, f"{done.err}\n{self.porter('logs', f'{model}-1').out[-4000:]}"
        return self.run(model)

    def run(self, model: str) -> Run:
        """Return the network's run as it was noted."""
        return from_json((self.folder / "porter-runs" / f"{model}-1" / "run.json").read_bytes(), Run)

    def log(self, model: str, job: str) -> str:
        """Return what a job has printed."""
        return self.porter("logs", f"{model}-1", "--job", job).out

    def run_python(self, code: str, path: Path) -> str:
        """Run code with TAO's packages; return the last line of what it prints."""
        done = subprocess.run([self.python, "-c", code, path], capture_output=True, text=True, check=True)
        return (done.stdout.splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def bench(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    clone, folder = real_clone("tao-pytorch"), tmp_path_factory.mktemp("networks")
    before = git(clone, "status", "--porcelain", "--ignored")
    (folder / "cache").mkdir()
    (folder / "cache" / "envs").symlink_to(REAL_CACHE / "envs")
    shapes(folder / "train", images=4, size=128)
    shapes(folder / "eval", images=2, size=128)
    venv = cpu_venv(folder / "venv", tao_environment, clone, SCRIPTS)
    yield Bench(folder, folder / "cache", venv, tao_environment.python)
    assert git(clone, "status", "--porcelain", "--ignored") == before


@pytest.fixture(scope="module")
def dino(bench: Bench) -> Run:
    return bench.train("dino", DINO, "--export")


@pytest.fixture(scope="module")
def mal(bench: Bench) -> Run:
    bench.run_python(_WEIGHTS, bench.folder / "vit.pth")
    return bench.train("mal", MAL, "--base-checkpoint", "vit.pth")


def job(run: Run, name: str) -> Job:
    return next(job for job in run.jobs if job.name == name)


def spec_of(job: Job) -> Any:
    (path,) = (Path(job.results).parents[1] / "spec").iterdir()
    return yaml.safe_load(path.read_text())


def status_of(job: Job) -> bytes:
    return (Path(job.results) / job.action / "status.json").read_bytes()


def reported(job: Job, key: str) -> Any:
    """Return a metric as it stands in the file, the last one."""
    lines = [json.loads(line) for line in status_of(job).splitlines()]
    return [line["kpi"][key] for line in lines if key in line.get("kpi", {})][-1]


def progress_of(run: Run, name: str) -> Progress:
    return read_progress(status_of(job(run, name)), metric=catalog.entry(run.plan.model).metric)


def checkpoint_of(run: Run) -> Path:
    return Path(job(run, "train").results) / "train" / catalog.entry(run.plan.model).checkpoint


def test_dino_trains_and_reports_its_metric_as_text(dino: Run) -> None:
    assert [(done.name, done.state) for done in dino.jobs] == [
        ("train", "complete"),
        ("evaluate", "complete"),
        ("export", "complete"),
    ]
    assert checkpoint_of(dino).is_file()
    seen = progress_of(dino, "train")
    assert (seen.epoch, seen.epochs, seen.eta, seen.metric) == (1, 1, 0.0, "val_mAP50")
    assert isinstance(reported(job(dino, "train"), "val_mAP50"), str)
    measured = metric_of(seen, catalog.entry("dino").metric)
    assert measured is not None
    assert 0 <= measured <= 1
    assert seen.series["val_mAP50"] == ((1, measured),)
    # It is the loss that shows that two steps were really made.
    assert seen.series["train_loss"][0][1] > 0
    assert seen.series["val_loss"][0][1] > 0


def test_dino_is_evaluated_as_it_was_trained(dino: Run) -> None:
    spec = spec_of(job(dino, "evaluate"))
    assert spec["evaluate"]["checkpoint"] == str(checkpoint_of(dino))
    built = {"backbone": "resnet_34", "num_queries": 8, "num_select": 6, "enc_layers": 1, "dec_layers": 1}
    assert built.items() <= spec["model"].items()
    assert spec["dataset"]["num_classes"] == 5
    assert spec["dataset"]["test_data_sources"]["json_file"].endswith("/eval/annotations.json")
    seen = progress_of(dino, "evaluate")
    assert seen.metric == "test_mAP50"
    assert metric_of(seen, catalog.entry("dino").metric) is not None


def test_dino_is_exported_to_the_actions_own_folder(dino: Run, bench: Bench) -> None:
    exported = Path(job(dino, "export").results) / "export" / "dino.onnx"
    assert json.loads(bench.run_python(_ONNX, exported)) == [["inputs"], ["pred_logits", "pred_boxes"]]


def test_mal_trains_from_given_weights_and_reports_a_number(mal: Run, bench: Bench) -> None:
    assert [(done.name, done.state) for done in mal.jobs] == [("train", "complete"), ("evaluate", "complete")]
    assert checkpoint_of(mal).is_file()
    # It is said which weights the file did not have: all but the one that it has.
    assert "Loading backbone weights" in bench.log("mal", "train")
    (line, *_) = [
        line for line in status_of(job(mal, "train")).decode().splitlines() if "incompatible" in line
    ]
    assert "'pos_embed'" in line
    assert "'cls_token'" not in line
    seen = progress_of(mal, "train")
    assert (seen.epoch, seen.epochs, seen.metric) == (1, 1, "mIoU")
    assert isinstance(reported(job(mal, "train"), "mIoU"), float)
    measured = metric_of(seen, catalog.entry("mal").metric)
    assert measured is not None
    assert 0 < measured <= 1
    # There are no masks of that size: what is no number is no measurement.
    assert seen.last["mIoU_large"] is None
    assert seen.dropped["mIoU_large"] == 1


def test_mal_is_evaluated_as_it_was_trained(mal: Run) -> None:
    spec = spec_of(job(mal, "evaluate"))
    assert spec["evaluate"]["checkpoint"] == str(checkpoint_of(mal))
    built = {"arch": "vit-deit-small/16", "mask_head_hidden_channel": 16, "mask_head_out_channel": 16}
    assert built.items() <= spec["model"].items()
    assert "pretrained_model_path" not in spec["train"]
    # The same weights and the same data have the same metric.
    trained, evaluated = (
        metric_of(progress_of(mal, name), catalog.entry("mal").metric) for name in ("train", "evaluate")
    )
    assert evaluated == pytest.approx(trained, rel=1e-4)


def test_mal_writes_masks_where_there_were_boxes(mal: Run, bench: Bench) -> None:
    done = bench.porter("infer", mal.name, "--data", "eval", "--yes")
    assert done.code == 0, done.err
    predicted = job(bench.run("mal"), "inference")
    written = json.loads((Path(predicted.results) / "inference" / "mal_labels.json").read_bytes())
    assert [one["segmentation"]["size"] for one in written["annotations"]] == [[128, 128]] * 4
    assert [one["category_id"] for one in written["annotations"]] == [1, 4, 1, 4]
