"""What the probes see of timm checkpoints, and what timm's image processor makes of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter import hub, timm_configs
from porter.inspection import inspect
from porter.records.base import to_json
from porter.records.inspection import ModelProbe
from porter.records.probes import InspectModel
from porter.records.sandbox import Environment
from tests.models import python, read, serve
from tests.timm_folders import LABELS, PRETRAINED, request

pytestmark = pytest.mark.torch_env

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "hub": ("test_byobnet", {}),
    "prefixed": ("test_byobnet", {}),
    "two heads": (
        "deit_tiny_distilled_patch16_224",
        {"img_size": 64, "depth": 2, "embed_dim": 48},
    ),
    "convolution": ("dla46_c", {}),
    "tokens": ("test_vit", {"img_size": 64, "class_token": False, "global_pool": "avg"}),
}


@pytest.fixture(scope="module")
def folders(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of timm models by name; one is as transformers saves it, with the prefix that it once had."""
    root = tmp_path_factory.mktemp("timm")
    jobs = [
        (
            "make_demo_model",
            request(root / name, architecture, arguments=arguments, as_timm=name != "prefixed"),
        )
        for name, (architecture, arguments) in MODELS.items()
    ]
    serve(tao_environment, root, list(jobs))
    python(tao_environment, _PREFIX, str(root / "prefixed" / "model.safetensors"), cwd=root)
    return root


_PREFIX = """
import sys
from safetensors.torch import load_file, save_file
tensors = {f"timm_model.{name}": tensor for name, tensor in load_file(sys.argv[1]).items()}
save_file(tensors, sys.argv[1], metadata={"format": "pt"})
"""


@pytest.fixture(scope="module")
def probes(tao_environment: Environment, folders: Path) -> dict[str, ModelProbe]:
    """What the probe says about each folder."""
    jobs = [
        (
            "inspect_model",
            InspectModel(
                folder=str(folders / name), architecture=timm_configs.CLASS, head=True, image_size=(64, 64)
            ),
        )
        for name in MODELS
    ]
    answers = serve(tao_environment, folders / "answers", list(jobs))
    return {name: read(answer, ModelProbe) for name, answer in zip(MODELS, answers, strict=True)}


@pytest.mark.parametrize("name", MODELS)
def test_every_form_fills_the_model_and_exports(
    folders: Path, probes: dict[str, ModelProbe], name: str
) -> None:
    found = inspect(hub.resolve(str(folders / name)))
    assert found.labels == LABELS
    seen = probes[name]
    assert (seen.missing, seen.unexpected) == ((), ())
    inner = {tensor.name.removeprefix("timm_model."): tensor.shape for tensor in seen.state}
    assert {tensor.name.removeprefix("timm_model."): tensor.shape for tensor in found.tensors} == inner
    assert any(attempt.ok for attempt in seen.exports)
    assert seen.output_shapes == {"logits": (1, 3)}


def test_the_heads_are_those_that_timm_names(probes: dict[str, ModelProbe]) -> None:
    heads = {name: probe.head for name, probe in probes.items()}
    found = {name: (head.linear, *head.others, head.in_features) for name, head in heads.items() if head}
    assert found == {
        "hub": ("timm_model.head.fc", 256),
        "prefixed": ("timm_model.head.fc", 256),
        "two heads": ("timm_model.head", "timm_model.head_dist", 48),
        "convolution": ("timm_model.fc", 256),
        "tokens": ("timm_model.head", 64),
    }
    two = heads["two heads"]
    assert two is not None
    assert two.tensors == tuple(
        sorted(f"{head}.{leaf}" for head in found["two heads"][:2] for leaf in ("bias", "weight"))
    )


def test_stages_and_feature_maps(probes: dict[str, ModelProbe]) -> None:
    assert probes["tokens"].stages == (
        "timm_model.patch_embed",
        *(f"timm_model.blocks.{index}" for index in range(6)),
        "timm_model.fc_norm",
    )
    assert probes["convolution"].stages == (
        "timm_model.base_layer",
        *(f"timm_model.level{index}" for index in range(6)),
    )
    assert probes["hub"].stages == (
        "timm_model.stem",
        *(f"timm_model.stages.{index}" for index in range(4)),
    )
    assert {name: probe.maps for name, probe in probes.items()} == {
        "hub": "forward_intermediates",
        "prefixed": "forward_intermediates",
        "two heads": "forward_intermediates",
        "convolution": "",
        "tokens": "forward_intermediates",
    }


PROCESSORS: dict[str, dict[str, Any]] = {
    "center": {},
    "whole": {"crop_pct": 1.0},
    "squash": {"crop_mode": "squash", "crop_pct": 0.8},
    "squash of the whole": {"crop_mode": "squash", "crop_pct": 1.0, "interpolation": "lanczos"},
    "squash of no square": {"crop_mode": "squash", "input_size": [3, 40, 64]},
    "bilinear": {"interpolation": "bilinear", "crop_pct": 0.95, "input_size": [3, 32, 32]},
    "nearest": {"interpolation": "nearest", "crop_pct": 0.75},
    "box": {"interpolation": "box"},
    "hamming": {"interpolation": "hamming"},
    "an unknown mode": {"crop_mode": "middle"},
    "nothing stated": dict.fromkeys(PRETRAINED) | {"tag": "x"},
}

_COMPARE = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

def by_facts(image, facts):
    width, height = image.size
    if facts["size"]:
        image = image.resize(facts["size"][::-1], facts["resample"])
    else:
        short = facts["shortest_edge"]
        long = int(short * max(width, height) / min(width, height))
        image = image.resize((short, long) if width <= height else (long, short), facts["resample"])
    high, wide = facts["crop"]
    assert facts["margin"] == "even"
    left, top = round((image.width - wide) / 2), round((image.height - high) / 2)
    pixels = np.asarray(image.crop((left, top, left + wide, top + high)), dtype=np.float64)
    pixels = (pixels * facts["rescale_factor"] - np.array(facts["mean"])) / np.array(facts["std"])
    return pixels.transpose(2, 0, 1)

found = {}
dice = np.random.default_rng(0)
shapes = ((50, 70), (97, 50), (61, 61), (200, 309), (31, 44))
images = [Image.fromarray(dice.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]
for name, (config, facts) in json.load(open(sys.argv[1])).items():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
    worst = 0.0
    for image in images:
        wanted = np.asarray(processor(image, return_tensors="pt")["pixel_values"][0])
        given = by_facts(image, facts)
        worst = max(worst, float(np.abs(wanted - given).max()) if wanted.shape == given.shape else 1e9)
    found[name] = worst
json.dump(found, open(sys.argv[2], "w"))
"""


def test_the_facts_make_the_tensors_that_timm_makes(tao_environment: Environment, tmp_path: Path) -> None:
    asked = {}
    for name, changes in PROCESSORS.items():
        stated = {key: value for key, value in {**PRETRAINED, **changes}.items() if value is not None}
        config = {"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": stated}
        facts = timm_configs.read("x", config, []).processor
        assert facts.caveats == ()
        asked[name] = (config, facts)
    (tmp_path / "asked.json").write_bytes(to_json(asked))
    python(
        tao_environment, _COMPARE, str(tmp_path / "asked.json"), str(tmp_path / "found.json"), cwd=tmp_path
    )
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert set(found) == set(PROCESSORS)
    assert {name: worst for name, worst in found.items() if worst > 1e-5} == {}
