"""A port with images of one's own: other classes than the model's, a flat test folder, settings."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from PIL import Image

from porter.gates.catalogue import GATES
from tests.e2e.conftest import port_mini

pytestmark = pytest.mark.torch_env

CLASSES = ("left", "right")


def images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    dice = random.Random(str(folder.name))
    for number in range(count):
        pixels = bytes(dice.randrange(256) for _ in range(40 * 30 * 3))
        Image.frombytes("RGB", (40, 30), pixels).save(folder / f"{number}.png")


def test_own_classes_start_a_new_head_and_every_gate_passes(
    e2e_cache: Path, mini_model: Path, mini_kit: Path, deploy_clone: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for name in CLASSES:
        images(data / "train" / name, 3)
        images(data / "val" / name, 2)
    images(data / "test", 3)
    before = sorted(data.rglob("*"))
    more = ["--data", str(data), "--branch", "own-data", "--until", "4"]
    more += ["--tao-deploy", str(deploy_clone)]
    more += ["--set", "train.checkpoint_interval=5", "--set", "export.batch_size=4"]
    done = port_mini(e2e_cache, mini_model, mini_kit, tmp_path / "port", *more)
    assert done.code == 0, done.err
    gates = done.gates()
    needed = [gate for gate in GATES if gate.cpu and gate.phase <= 4]
    good = ("passed", "rehearsed")
    assert {gate.id: gates[gate.id] for gate in needed if gates[gate.id]["state"] not in good} == {}
    assert "different" in gates["dataset"]["summary"]
    tuned = gates["ledger"]["evidence"]["fine_tuning"]
    assert (tuned["classes"], tuned["head"]) == (2, "re-initialised")
    assert sorted(tuned["initialised"]) == ["head.bias", "head.weight"]
    assert sorted(data.rglob("*")) == before
    results = tmp_path / "port" / "results"
    with (results / "gates" / "evaluate" / "result.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["img_name", *CLASSES, "pred_label", "pred_score", "gt_label"]
    with (results / "gates" / "inference" / "result.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 3
    spec = tmp_path / "port/tao-pytorch/nvidia_tao_pytorch/cv/mini_vit/experiment_specs/experiment_spec.yaml"
    assert "checkpoint_interval: 5" in spec.read_text()
