"""What the templates make of a depth model that is held, of values that a port would have."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from porter.errors import ModelRejectedError
from porter.generate.depth import DepthContext, depth_context
from porter.generate.depth_kind import METRIC, RELATIVE, farthest, kind_of, quantity_of
from porter.generate.fileplan import build_file_plan
from porter.processors import facts
from porter.records.inspection import Inspection, ProcessorFacts
from porter.records.plan import PlannedFile
from porter.records.reference import Candidate, HeldModel, ReferenceChoice, Strategy, StrategyChoice
from porter.records.sandbox import Environment
from tests.depth_net import depth_net, inspection
from tests.generate.clean import assert_clean
from tests.generate.test_depth import deployed

NAME = "held_demo"
SETUP = "from setuptools import setup\n\nsetup(entry_points={'console_scripts': ['a=b:main']})\n"
PACKAGE = f"nvidia_tao_pytorch/cv/{NAME}"
SQUARE = {"size": {"height": 64, "width": 64}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "depth_pro": ("DepthProImageProcessor", SQUARE),
    "dpt": ("DPTImageProcessor", SQUARE),
    "glpn": ("GLPNImageProcessor", {"size_divisor": 32}),
    "prompt_depth_anything": (
        "PromptDepthAnythingImageProcessor",
        {**SQUARE, "keep_aspect_ratio": True, "ensure_multiple_of": 16},
    ),
    "zoedepth": ("ZoeDepthImageProcessor", SQUARE),
}
TYPES = sorted(PROCESSORS)


def found(model_type: str, **config: Any) -> Inspection:
    kind, settings = PROCESSORS[model_type]
    made = msgspec.structs.replace(
        inspection(), model_type=model_type, config=config, image_size=(64, 64), processor=None
    )
    return msgspec.structs.replace(made, processor=facts(kind, settings, 3))


def processor(model_type: str) -> ProcessorFacts:
    facts = found(model_type).processor
    assert facts is not None
    return facts


def values(model: Inspection, strategy: Strategy = "compose") -> DepthContext:
    held = HeldModel(
        architecture="ThingForDepthEstimation",
        config={"model_type": model.model_type},
        attention="eager",
        body="backbone",
    )
    choice = ReferenceChoice(
        reference=depth_net(),
        candidates=(Candidate(name="depth_net", score=100, reasons=("only one",)),),
        strategy=StrategyChoice(strategy=strategy, reason="it is held", held=held),
    )
    return depth_context(model, choice, name=NAME, year=2026)


def planned(context: DepthContext) -> dict[str, PlannedFile]:
    plan = build_file_plan(context, settings={}, setup=SETUP, console_target="x:main")
    return {file.path: file for file in plan.files}


@pytest.mark.parametrize("model_type", TYPES)
def test_every_module_compiles_and_is_clean(model_type: str, tmp_path: Path) -> None:
    files = planned(values(found(model_type)))
    assert f"{PACKAGE}/model/hf_config.py" in files
    assert_clean({path: file.content for path, file in files.items()}, tmp_path)
    assert_clean(deployed(values(found(model_type))), tmp_path / "deploy")


def test_a_model_that_is_held_brings_its_own_network() -> None:
    composed = planned(values(found("dpt")))
    network = composed[f"{PACKAGE}/model/depth.py"].content
    assert "AutoModelForDepthEstimation.from_config" in network
    assert "DPTHead" not in network
    assert "mono_backbone" in yaml.safe_load(composed[SPEC].content)["model"]
    assert "use_bn" not in composed[SPEC].content
    lifted = planned(values(found("dpt"), "transplant"))[f"{PACKAGE}/model/depth.py"].content
    assert "transformers import" not in lifted
    assert "model.network import Config, ThingForDepthEstimation" in lifted


SPEC = f"{PACKAGE}/experiment_specs/experiment_spec.yaml"


def test_what_the_numbers_of_a_model_mean() -> None:
    assert kind_of(found("dpt")) == kind_of(found("prompt_depth_anything")) == RELATIVE
    assert kind_of(found("depth_pro")) == kind_of(found("zoedepth")) == kind_of(found("glpn")) == METRIC
    assert farthest(found("glpn", max_depth=80)) == 80
    assert farthest(found("glpn")) == farthest(found("zoedepth")) == 10
    assert farthest(found("zoedepth", bin_configurations=[{"max_depth": 80.0}])) == 80
    assert quantity_of(found("dpt")) == "inverse depth"
    # What a prompt would have scaled is nearer where it is less.
    stated = found("prompt_depth_anything", depth_estimation_type="metric", max_depth=20)
    assert quantity_of(stated) == "depth without scale and offset"
    spec = planned(values(stated))[SPEC].content
    assert "Ground truth is depth, in whatever unit" in spec
    assert yaml.safe_load(spec)["dataset"]["max_depth"] is None


def test_a_zoedepth_that_chooses_a_head_by_the_batch_is_refused() -> None:
    both = [{"name": "nyu", "max_depth": 10.0}, {"name": "kitti", "max_depth": 80.0}]
    with pytest.raises(ModelRejectedError, match="2 heads") as refused:
        kind_of(found("zoedepth", bin_configurations=both))
    assert "nyu, kitti" in refused.value.why


def test_a_model_of_which_nothing_is_known_is_refused() -> None:
    other = msgspec.structs.replace(found("dpt"), model_type="sharp_depth")
    with pytest.raises(ModelRejectedError, match="numbers of org/depth mean") as refused:
        kind_of(other)
    assert "sharp_depth" in refused.value.why


def test_what_image_processors_of_depth_models_do() -> None:
    glpn, zoedepth, depth_pro = (processor(name) for name in ("glpn", "zoedepth", "depth_pro"))
    assert (glpn.rounded_down, glpn.multiple, glpn.least_edge, glpn.caveats) == (True, 32, 32, ())
    assert (zoedepth.padded, zoedepth.interpolation, zoedepth.multiple) == (True, "aligned", 32)
    assert zoedepth.keeps_ratio
    assert zoedepth.caveats == depth_pro.caveats == ()
    assert (depth_pro.padded, depth_pro.interpolation) == (False, "linear")
    cubic = facts("ZoeDepthImageProcessor", {**SQUARE, "resample": 3}, 3)
    assert "something else than a weighted mean" in cubic.caveats[0]


def test_images_of_several_sizes_are_tested_where_there_are_some() -> None:
    assert values(found("glpn")).step == 32
    assert values(found("prompt_depth_anything")).step == 16
    assert values(found("dpt")).step == 0
    path = f"tests/cv_unit_test/{NAME}/test_model.py"
    assert "test_images_of_other_sizes" in planned(values(found("glpn")))[path].content
    assert "test_images_of_other_sizes" not in planned(values(found("dpt")))[path].content


def depths(model_type: str, folder: Path) -> Path:
    path = folder / f"{model_type}.py"
    path.write_text(planned(values(found(model_type)))[f"{PACKAGE}/utils/depths.py"].content)
    return path


CHECKS = """
import importlib.util, sys
import numpy as np, torch
from transformers import DepthProImageProcessor, ZoeDepthImageProcessor
from transformers.modeling_outputs import DepthEstimatorOutput
from transformers.models.depth_pro.modeling_depth_pro import DepthProDepthEstimatorOutput

def module(path):
    spec = importlib.util.spec_from_file_location("depths", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made

zoe, pro = (module(path) for path in sys.argv[1:])
processors = ZoeDepthImageProcessor(), DepthProImageProcessor()
pixels = np.random.default_rng(0).uniform(-1, 1, (61, 47, 3)).astype(np.float32)
for depths, aligned in ((zoe, True), (pro, False)):
    for size in ((32, 64), (130, 90), (61, 47), (1, 5), (1536, 1536)):
        image = torch.from_numpy(pixels.transpose(2, 0, 1))[None]
        wanted = torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=aligned)[0]
        np.testing.assert_allclose(depths.interpolate(pixels, size).transpose(2, 0, 1), wanted, atol=1e-6)
depth = 0.01 + torch.rand(24, 32, generator=torch.Generator().manual_seed(0))
for size in ((45, 80), (130, 70), (7, 31)):
    outputs = DepthEstimatorOutput(predicted_depth=depth[None])
    [wanted] = processors[0].post_process_depth_estimation(outputs, source_sizes=[size])
    np.testing.assert_allclose(zoe.enlarge(depth.numpy(), size), wanted["predicted_depth"], atol=2e-5)
    angle = torch.tensor([50.0])
    outputs = DepthProDepthEstimatorOutput(predicted_depth=depth[None], field_of_view=angle)
    [wanted] = processors[1].post_process_depth_estimation(outputs, target_sizes=[size])
    scaled = depth * 2 * torch.tan(0.5 * torch.deg2rad(angle))
    np.testing.assert_allclose(pro.enlarge(scaled.numpy(), size), wanted["predicted_depth"], rtol=1e-4)
nothing = np.zeros((4, 4), np.float32)
assert pro.enlarge(nothing, (9, 5)).max() == 10_000
print("all held")
"""


@pytest.mark.torch_env
def test_depth_maps_become_what_their_image_processors_make(
    tao_environment: Environment, tmp_path: Path
) -> None:
    paths = [depths(name, tmp_path) for name in ("zoedepth", "depth_pro")]
    done = subprocess.run(
        [tao_environment.python, "-c", CHECKS, *paths], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "all held", done.stderr
