"""What porter says of an image processor, held against the processor itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from porter import processors
from porter.records.base import to_json
from porter.records.inspection import ProcessorFacts
from porter.records.sandbox import Environment
from porter.refresh import processors as ask_environment
from porter.resources import tree
from tests.models import python

pytestmark = pytest.mark.torch_env

Case = tuple[str, dict[str, Any]]


def case(model_type: str, stem: str = "", **settings: Any) -> Case:
    """Return a model type and the content of its preprocessor_config.json."""
    named = {"image_processor_type": f"{stem}ImageProcessor"} if stem else {}
    return model_type, {**named, **settings}


def fast(model_type: str, stem: str, **settings: Any) -> Case:
    return model_type, {"image_processor_type": f"{stem}ImageProcessorFast", **settings}


HALF: dict[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
OLD_CONVNEXT: dict[str, Any] = {"feature_extractor_type": "ConvNextFeatureExtractor"}
SLOW: dict[str, Case] = {
    "vit as saved today": case("vit", "ViT", size={"height": 40, "width": 24}, **HALF),
    "vit of the first days": case("vit", do_normalize=True, do_resize=True, size=32, **HALF),
    "vit feature extractor": case("vit", feature_extractor_type="ViTFeatureExtractor", size=32, resample=3),
    "vit without rescale": case("vit", "ViT", size=32, do_rescale=False),
    "vit without normalisation": case("vit", "ViT", size=32, do_normalize=False),
    "vit with one mean for all": case("vit", "ViT", size=32, image_mean=0.4, image_std=0.3),
    "deit": case("deit", "DeiT", size=40, crop_size=32),
    "deit crop beyond the size": case("deit", "DeiT", size=24, crop_size=32),
    "beit without crop": case("beit", "Beit", size=32, do_center_crop=False),
    "convnext small": case("convnext", size=32, crop_pct=0.875, resample=3, **OLD_CONVNEXT),
    "convnext without share": case("convnext", "ConvNext", size={"shortest_edge": 48}, crop_pct=None),
    "convnext large": case("convnext", "ConvNext", size={"shortest_edge": 384}),
    "resnet": case("resnet", size=32, resample=3, crop_pct=0.875),
    "levit": case("levit", "Levit", size=32, crop_size=32),
    "poolformer": case("poolformer", "PoolFormer", size=32, crop_size=32),
    "dinov2": case("dinov2", "Bit", size={"shortest_edge": 36}, crop_size=28),
    "clip": case("clip", "CLIP", size=32, crop_size=32),
    "mobilenet": case("mobilenet_v2", "MobileNetV2", size=40, crop_size=32),
    "siglip": case("siglip", "Siglip", size={"height": 32, "width": 32}),
    "nearest": case("pvt", "Pvt", size=32, resample=0),
    "lanczos": case("vit", "ViT", size=32, resample=1),
    "efficientnet": case("efficientnet", "EfficientNet", size=32),
    "efficientnet from -1 to 1": case(
        "efficientnet",
        "EfficientNet",
        size=32,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        resample=3,
        **HALF,
    ),
    "efficientnet not normalised": case(
        "efficientnet", "EfficientNet", size=32, rescale_offset=True, do_normalize=False, include_top=False
    ),
    "mobilevit": case("mobilevit", "MobileViT", size={"shortest_edge": 40}, crop_size=32),
    "mobilevit beyond the image": case("mobilevit", "MobileViT", size={"shortest_edge": 27}, crop_size=32),
    "mobilevit unflipped": case(
        "mobilevit", "MobileViT", size={"shortest_edge": 40}, crop_size=32, do_flip_channel_order=False
    ),
}
FAST: dict[str, Case] = {
    "vit": fast("vit", "ViT", size=32),
    "convnext": fast("convnext", "ConvNext", size={"shortest_edge": 32}),
    "beit": fast("beit", "Beit", size=40),
    "dinov2": fast("dinov2", "Bit", size={"shortest_edge": 36}, crop_size=28),
    "odd margins": fast("clip", "CLIP", size={"shortest_edge": 35}, crop_size=28),
    "deit": fast("deit", "DeiT", size=39, crop_size=32),
    "efficientnet": fast("efficientnet", "EfficientNet", size=32, **HALF),
    "levit": fast("levit", "Levit", size=32, crop_size=32),
    "mobilenet": fast("mobilenet_v2", "MobileNetV2", size=40, crop_size=32),
    "mobilevit": fast("mobilevit", "MobileViT", size={"shortest_edge": 40}, crop_size=32),
    "poolformer": fast("poolformer", "PoolFormer", size=32, crop_size=32),
    "pvt": fast("pvt", "Pvt", size=32),
    "siglip": fast("siglip", "Siglip", size={"height": 32, "width": 32}),
    "dinov3": fast("dinov3_vit", "DINOv3ViT", size={"height": 32, "width": 32}),
}

COMPARE = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

def by_facts(image, facts):
    width, height = image.size
    if facts["size"]:
        image = image.resize(facts["size"][::-1], facts["resample"])
    elif facts["shortest_edge"]:
        short = facts["shortest_edge"]
        long = int(short * max(width, height) / min(width, height))
        image = image.resize((short, long) if width <= height else (long, short), facts["resample"])
    pixels = np.asarray(image, dtype=np.float64)
    if facts["crop"]:
        high, wide = facts["crop"]
        around = np.zeros((max(high, pixels.shape[0]), max(wide, pixels.shape[1]), 3))
        top, left = ((a - b + 1) // 2 for a, b in zip(around.shape, pixels.shape[:2]))
        around[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        spare = (around.shape[0] - high, around.shape[1] - wide)
        top, left = (round(each / 2) if facts["margin"] == "even" else each // 2 for each in spare)
        pixels = around[top : top + high, left : left + wide]
    if facts["rescale_factor"] is not None:
        pixels = pixels * facts["rescale_factor"]
    if facts["mean"]:
        pixels = (pixels - np.array(facts["mean"])) / np.array(facts["std"])
    if facts["flipped"]:
        pixels = pixels[..., ::-1]
    return pixels.transpose(2, 0, 1)

found = []
dice = np.random.default_rng(0)
shapes = ((50, 70), (70, 50), (61, 61))
images = [Image.fromarray(dice.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]
for model_type, settings, facts in json.load(open(sys.argv[1])):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps({"model_type": model_type}))
        Path(folder, "preprocessor_config.json").write_text(json.dumps(settings))
        processor = AutoImageProcessor.from_pretrained(folder)
    worst = 0.0
    for image in images:
        wanted = np.asarray(processor(image, return_tensors="pt")["pixel_values"][0])
        given = by_facts(image, facts)
        worst = max(worst, float(np.abs(wanted - given).max()) if wanted.shape == given.shape else 1e9)
    found.append([type(processor).__name__, worst])
json.dump(found, open(sys.argv[2], "w"))
"""


def described(model_type: str, settings: dict[str, Any]) -> ProcessorFacts:
    config = {"model_type": model_type}
    return processors.facts(processors.class_name(settings, config), settings, 3)


@pytest.fixture(scope="module")
def measured(
    tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, float]]:
    """The processor's class, and its largest difference from what porter says it does."""
    work = tmp_path_factory.mktemp("processors")
    cases = {f"slow {n}": each for n, each in SLOW.items()} | {f"fast {n}": each for n, each in FAST.items()}
    rows = [[kind, settings, described(kind, settings)] for kind, settings in cases.values()]
    (work / "cases.json").write_bytes(to_json(rows))
    python(tao_environment, COMPARE, str(work / "cases.json"), str(work / "found.json"), cwd=work)
    found = json.loads((work / "found.json").read_text())
    return {name: (kind, worst) for name, (kind, worst) in zip(cases, found, strict=True)}


@pytest.mark.parametrize("name", SLOW)
def test_description_is_what_the_processor_does(measured: dict[str, tuple[str, float]], name: str) -> None:
    kind, worst = measured[f"slow {name}"]
    facts = described(*SLOW[name])
    assert facts.kind == kind
    assert facts.caveats == ()
    assert worst < (1e-3 if facts.rescale_factor is None else 1e-5)


@pytest.mark.parametrize("name", FAST)
def test_fast_processors_follow_the_same_description(
    measured: dict[str, tuple[str, float]], name: str
) -> None:
    """They resize with torchvision, not Pillow: on noise, up to eight levels of 255 apart."""
    kind, worst = measured[f"fast {name}"]
    facts = described(*FAST[name])
    assert (facts.kind, facts.fast, facts.caveats) == (kind, True, ())
    print(name, worst * 255 * min(facts.std or (1.0,)))
    assert worst <= 8 / 255 / min(facts.std or (1.0,))


def test_recorded_defaults_are_those_of_the_environment(tao_environment: Environment, tmp_path: Path) -> None:
    recorded = json.loads((tree("references") / "processor_defaults.json").read_bytes())
    assert ask_environment(tao_environment.python) == recorded
