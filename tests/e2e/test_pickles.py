"""A bare network whose weights are a pickle: converted in the sandbox, given a head there, then ported."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from porter.records.sandbox import Environment
from tests.e2e.conftest import Port, port_mini, run_porter

pytestmark = pytest.mark.torch_env

PICKLE = """
import json, sys, torch
from safetensors.torch import load_file, save_file
folder = sys.argv[1]
whole = load_file(folder + "/model.safetensors")
body = {name.removeprefix("vit."): tensor for name, tensor in whole.items() if name.startswith("vit.")}
width = len(body["layernorm.bias"])
body |= {"pooler.dense.weight": torch.ones(width, width), "pooler.dense.bias": torch.ones(width)}
save_file(body, folder + "/model.safetensors", metadata={"format": "pt"})
torch.save(body, folder + "/pytorch_model.bin")
config = json.load(open(folder + "/config.json"))
config = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
json.dump({**config, "architectures": ["ViTModel"]}, open(folder + "/config.json", "w"))
"""


@pytest.fixture(scope="module")
def pickled(tao_environment: Environment, mini_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model without its head, its weights in a pickle."""
    folder = tmp_path_factory.mktemp("pickled") / "org-mini-vit"
    shutil.copytree(mini_model, folder)
    subprocess.run([tao_environment.python, "-c", PICKLE, str(folder)], check=True)
    shutil.copytree(folder, folder.with_name("safe"))
    (folder / "model.safetensors").unlink()
    return folder


def test_port_of_a_pickle_converts_every_tensor_and_begins_a_head(
    e2e_cache: Path, pickled: Path, mini_kit: Path, tmp_path: Path
) -> None:
    more = ("--until", "3", "--branch", "pickled", "--task", "image-classification")
    classes = ("--set", "dataset.num_classes=3")
    done = port_mini(e2e_cache, pickled, mini_kit, tmp_path / "port", *more, *classes)
    assert done.code == 0, done.err
    gates = done.gates()
    assert "weights in pickles" in gates["model"]["summary"]
    assert "a new head for ViTModel" in gates["model"]["summary"]
    assert "which ViTModel does not have and porter began anew" in gates["source-state"]["summary"]
    assert {gates[name]["state"] for name in ("ledger", "parity-tao", "predictions")} == {"passed"}
    state = tmp_path / "port" / ".porter"
    read, headed = (inspected(e2e_cache, state / name) for name in ("model", "headed"))
    assert read["tensors"] == inspected(e2e_cache, pickled.with_name("safe"))["tensors"]
    assert not (pickled / "model.safetensors").exists()
    assert headed["architecture"] == "ViTForImageClassification"
    assert headed["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]

    ledger = json.loads((tmp_path / "port/results/checkpoint/mini_vit.ledger.json").read_text())
    new = {row["sources"][0]: row for row in ledger["rows"] if row["fate"] == "initialised"}
    assert set(new) == {"classifier.weight", "classifier.bias"}
    assert {row["reason"] for row in new.values()} == {"ViTModel has no head"}
    review = run_porter(e2e_cache, "review", tmp_path / "port", "--json").json
    assert review["ledger"]["source_tensors"] == len(headed["tensors"])
    notes = review["findings"]["notes"]
    assert "ViTForImageClassification has no place for pooler.dense.bias, pooler.dense.weight" in notes

    resumed = run_porter(e2e_cache, "resume", tmp_path / "port", "--until", "3", "--yes", "--json")
    assert resumed.code == 0, resumed.err
    assert "runs again" not in resumed.err
    (state / "model" / "model.safetensors").unlink()
    (state / "headed" / "model.safetensors").unlink()
    resumed = run_porter(e2e_cache, "resume", tmp_path / "port", "--until", "1", "--yes")
    assert resumed.code == 0, resumed.err
    assert inspected(e2e_cache, state / "headed")["tensors"] == headed["tensors"]


def inspected(cache: Path, folder: Path) -> dict[str, Any]:
    """Return what porter says of a model folder."""
    found: dict[str, Any] = run_porter(
        cache, "inspect", folder, "--task", "image-classification", "--json"
    ).json
    return found


def test_pickle_that_is_more_than_weights_stops_the_port(
    porter: Port, tao_environment: Environment, pickled: Path, mini_kit: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(pickled, folder)
    make = "import sys, torch; torch.save({'w': torch.nn.Linear(2, 2)}, sys.argv[1])"
    subprocess.run([tao_environment.python, "-c", make, str(folder / "pytorch_model.bin")], check=True)
    looked = porter("inspect", folder, "--task", "image-classification", "--json")
    assert looked.code == 0
    assert json.loads(looked.out)["tensors"] == []
    workspace = tmp_path / "port"
    done = porter(
        *("port", folder, "--tao-pytorch", mini_kit, "--workspace", workspace),
        *("--name", "hostile", "--yes", "--until", "1", "--task", "image-classification"),
    )
    assert done.code == 3
    assert "pytorch_model.bin" in done.err
    assert "Linear" in done.err
    assert not (workspace / ".porter" / "model").exists()
