"""A bare network in a class with a head: every tensor of it as it was, and a head of the size asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from porter import safetensors
from porter.records.base import Record, from_json, to_json
from porter.records.inspection import TensorInfo
from porter.records.probes import AddHead, HeadAdded, MakeModel
from porter.records.sandbox import Environment
from tests.models import LABELS, PROCESSOR, TINY, python, serve

pytestmark = pytest.mark.torch_env

COMPARE = """
import json, sys, torch
from safetensors.torch import load_file
one, other = load_file(sys.argv[1]), load_file(sys.argv[2])
body = {name.removeprefix(sys.argv[3]): tensor for name, tensor in other.items()}
same = sorted(name for name in one if name in body and torch.equal(one[name], body[name]))
json.dump({"same": same, "zero": sorted(n for n, t in other.items() if not t.any())}, open(sys.argv[4], "w"))
"""


@pytest.fixture(scope="module")
def answers(
    tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any], tuple[TensorInfo, ...]]:
    """Answers of: three classes, five, again three, a network that lacks a tensor, one of timm."""
    work = tmp_path_factory.mktemp("heads")
    architecture, config = TINY["vit-body"]
    bare = work / "bare"
    making = MakeModel(
        folder=str(bare),
        architecture=architecture,
        config=config,
        processor=PROCESSOR,
        labels=LABELS,
        seed=3,
    )
    timm = MakeModel(
        folder=str(work / "timm"),
        architecture="TimmWrapperModel",
        config={
            "architecture": "vit_tiny_patch16_224",
            "model_args": {"img_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2},
            "pretrained_cfg": {"input_size": [3, 32, 32]},
        },
        as_timm=True,
        seed=3,
    )
    serve(tao_environment, work / "make", [("make_demo_model", making), ("make_demo_model", timm)])
    tensors = safetensors.read_file(bare / "model.safetensors")
    lacking = work / "lacking"
    shutil.copytree(bare, lacking)
    script = (
        "import sys; from safetensors.torch import load_file, save_file; held = load_file(sys.argv[1]); "
        "del held['layernorm.bias']; save_file(held, sys.argv[1], metadata={'format': 'pt'})"
    )
    python(tao_environment, script, str(lacking / "model.safetensors"), cwd=work)

    def asked(
        folder: Path, classes: int, name: str, architecture: str = "ViTForImageClassification"
    ) -> tuple[str, Record]:
        return "add_head", AddHead(
            folder=str(folder),
            tensors=safetensors.read_file(folder / "model.safetensors"),
            architecture=architecture,
            classes=classes,
            target=str(work / f"{name}.safetensors"),
        )

    jobs = [asked(bare, 3, "three"), asked(bare, 5, "five"), asked(bare, 3, "again"), asked(lacking, 3, "no")]
    jobs.append(asked(work / "timm", 4, "wrapped", "TimmWrapperForImageClassification"))
    return work, serve(tao_environment, work / "add", jobs), tensors


def test_every_tensor_is_as_it_was_but_those_without_a_place(
    answers: tuple[Path, list[Any], tuple[TensorInfo, ...]], tao_environment: Environment, tmp_path: Path
) -> None:
    work, found, tensors = answers
    answer = from_json(to_json(found[0]), HeadAdded)
    assert set(answer.new) == {"classifier.weight", "classifier.bias"}
    assert set(answer.unused) == {"pooler.dense.weight", "pooler.dense.bias"}
    kept = {tensor.name for tensor in tensors} - set(answer.unused)
    assert answer.kept == len(kept) > 30
    python(
        tao_environment,
        COMPARE,
        *(str(work / "bare" / "model.safetensors"), str(work / "three.safetensors"), "vit."),
        str(tmp_path / "compared.json"),
        cwd=tmp_path,
    )
    compared = json.loads((tmp_path / "compared.json").read_text())
    assert set(compared["same"]) == kept
    assert compared["zero"] == ["classifier.bias"]


def test_the_head_has_a_row_per_class_and_the_same_numbers_again(
    answers: tuple[Path, list[Any], tuple[TensorInfo, ...]],
) -> None:
    work = answers[0]
    for name, classes in (("three", 3), ("five", 5)):
        table = {each.name: each for each in safetensors.read_file(work / f"{name}.safetensors")}
        assert table["classifier.weight"].shape == (classes, 32)
        assert table["classifier.bias"].shape == (classes,)
    assert (work / "three.safetensors").read_bytes() == (work / "again.safetensors").read_bytes()


def test_a_network_that_is_not_whole_is_turned_away(
    answers: tuple[Path, list[Any], tuple[TensorInfo, ...]],
) -> None:
    work, found, _ = answers
    assert "do not fill the network" in found[3]["error"]["what"]
    assert "vit.layernorm.bias" in found[3]["error"]["why"]
    assert not (work / "no.safetensors").exists()


def test_a_network_of_timm_keeps_its_names(
    answers: tuple[Path, list[Any], tuple[TensorInfo, ...]],
) -> None:
    work, found, _ = answers
    assert sorted(found[4]["new"]) == ["head.bias", "head.weight"]
    before = {each.name: each.shape for each in safetensors.read_file(work / "timm" / "model.safetensors")}
    after = {each.name: each.shape for each in safetensors.read_file(work / "wrapped.safetensors")}
    names = {name.removeprefix("timm_model.") for name in before}
    assert {name.removeprefix("timm_model.") for name in after} - names == {"head.weight", "head.bias"}
    assert any(name.startswith("timm_model.") for name in before) == any(
        name.startswith("timm_model.") for name in after
    )
