"""What the templates of a depth model make, from values that a port would have."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from porter.errors import ModelRejectedError
from porter.gates.engines import ONE_SIZE
from porter.generate.deploy import build_deploy_plan, deploy_context
from porter.generate.depth import DepthContext, depth_context
from porter.generate.fileplan import build_file_plan
from porter.records.inspection import Inspection
from porter.records.plan import PlannedFile
from porter.records.reference import DeployReference, Release
from porter.records.sandbox import Environment
from porter.reference.network import load_network
from tests.depth_net import CONFIG, SQUARE, choice, depth_net, inspection
from tests.generate.clean import assert_clean

NAME = "depth_demo"
SETUP = "from setuptools import setup\n\nsetup(entry_points={'console_scripts': ['a=b:main']})\n"
PACKAGE = f"nvidia_tao_pytorch/cv/{NAME}"
SPEC = f"{PACKAGE}/experiment_specs/experiment_spec.yaml"
METRIC: dict[str, Any] = {"depth_estimation_type": "metric", "max_depth": 20}
KEEPING = msgspec.structs.replace(SQUARE, keeps_ratio=True)


def values(found: Inspection) -> DepthContext:
    return depth_context(found, choice(found), name=NAME, year=2026)


def planned(found: Inspection) -> dict[str, PlannedFile]:
    plan = build_file_plan(values(found), settings={}, setup=SETUP, console_target="x:main")
    return {file.path: file for file in plan.files}


@pytest.mark.parametrize(
    "found",
    [inspection(), inspection(**METRIC), inspection(KEEPING)],
    ids=["relative", "metric", "keeping the ratio"],
)
def test_every_module_compiles_and_is_clean(found: Inspection, tmp_path: Path) -> None:
    files = planned(found)
    assert len([path for path in files if path.endswith(".py") and "/" in path]) > 20
    assert_clean({path: file.content for path, file in files.items()}, tmp_path)


def test_a_relative_model_has_no_range() -> None:
    spec = yaml.safe_load(planned(inspection())[SPEC].content)
    assert spec["model"]["model_type"] == "RelativeDepthAnything"
    assert spec["dataset"]["min_depth"] is spec["dataset"]["max_depth"] is None
    named = {spec["dataset"][f"{task}_dataset"]["data_sources"][0]["dataset_name"] for task in TASKS}
    assert named == {"RelativeMonoDataset"}
    network = planned(inspection())[f"{PACKAGE}/model/depth.py"].content
    assert "import DPTHead" in network
    assert "max_depth" not in network


def test_a_metric_model_has_the_range_of_its_config() -> None:
    files = planned(inspection(**METRIC))
    spec = yaml.safe_load(files[SPEC].content)
    assert spec["model"]["model_type"] == "MetricDepthAnything"
    assert (spec["dataset"]["min_depth"], spec["dataset"]["max_depth"]) == (0.001, 20)
    named = {spec["dataset"][f"{task}_dataset"]["data_sources"][0]["dataset_name"] for task in TASKS}
    assert named == {"MetricMonoDataset"}
    assert "MetricDPTHead" in files[f"{PACKAGE}/model/depth.py"].content
    assert "BaseRelativeMonoDataset" not in files[f"{PACKAGE}/dataloader/dataset.py"].content


TASKS = ("train", "val", "test", "infer")


def test_the_schema_says_what_the_model_is_and_imports_what_it_extends() -> None:
    schema = planned(inspection(**METRIC))[f"nvidia_tao_pytorch/config/{NAME}/default_config.py"].content
    for module in ("dataset", "model", "train", "deploy"):
        assert f"from nvidia_tao_pytorch.config.depth_net import {module} as depth_net_{module}" in schema
    assert "class DatasetConfig(depth_net_dataset.DepthNetDatasetConfig)" in schema
    assert re.search(r"max_depth: .*\n?.*value=20\.0", schema)
    assert schema.count("SplitConfig()") == len(TASKS)


def test_a_size_that_the_network_has_a_name_for_keeps_it() -> None:
    small = inspection(
        msgspec.structs.replace(SQUARE, size=(518, 518)),
        {
            "hidden_size": 384,
            "num_hidden_layers": 12,
            "num_attention_heads": 6,
            "image_size": 518,
            "out_indices": [3, 6, 9, 12],
        },
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
    )
    context = values(small)
    assert (context.encoder, context.layers) == ("vits", (2, 5, 8, 11))
    assert values(inspection()).encoder == NAME
    assert yaml.safe_load(planned(small)[SPEC].content)["model"]["encoder"] == "vits"


def test_the_ratio_is_kept_where_the_processor_keeps_it() -> None:
    kept = planned(inspection(KEEPING))[f"{PACKAGE}/dataloader/dataset.py"].content
    assert "round(factor * edge / 14) * 14" in kept
    plain = planned(inspection())[f"{PACKAGE}/dataloader/dataset.py"].content
    assert "img.resize((self.width, self.height), resample=Image.Resampling.BICUBIC)" in plain
    assert "factor * edge" not in plain


def test_a_processor_of_another_size_is_refused() -> None:
    other = msgspec.structs.replace(inspection(), processor=msgspec.structs.replace(SQUARE, size=(84, 84)))
    with pytest.raises(ModelRejectedError, match="does not make images of 70 x 70"):
        values(other)


def test_lists_are_named_as_both_omegaconf_and_hydra_read_them() -> None:
    entries = values(inspection()).dataset("/a b/data", ())
    assert entries[0] == (
        "dataset.train_dataset.data_sources="
        '[{dataset_name: RelativeMonoDataset, data_file: "/a b/data/train.txt"}]'
    )
    assert entries[2].endswith('"/a b/data/val.txt"}]')
    assert entries[3].endswith('"/a b/data/test.txt"}]')
    loading = values(inspection()).loading(2)
    assert "dataset.val_dataset.batch_size=1" in loading
    assert "dataset.infer_dataset.batch_size=2" in loading


CHECKS = """
import importlib.util, sys
import numpy as np, torch

spec = importlib.util.spec_from_file_location("depths", sys.argv[1])
depths = importlib.util.module_from_spec(spec)
spec.loader.exec_module(depths)

sizes = ((5, 7), (33, 20)), ((70, 98), (97, 41)), ((8, 4), (3, 130)), ((1, 1), (5, 5)), ((6, 6), (6, 6))
for given, size in sizes:
    depth = torch.rand(*given, generator=torch.Generator().manual_seed(0))
    how = {"size": size, "mode": "bicubic", "align_corners": False}
    wanted = torch.nn.functional.interpolate(depth[None, None], **how)
    wanted = wanted[0, 0]
    found = torch.from_numpy(depths.enlarge(depth.numpy(), size))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)

truth = np.random.default_rng(0).uniform(0.2, 4.0, (9, 11)).astype(np.float32)
valid = np.ones_like(truth, dtype=bool)
valid[-1] = False
spoilt = np.where(valid, truth, np.inf).astype(np.float32)
aligned = depths.depth_errors(0.5 * truth - 3, spoilt, valid, align=True)
assert aligned["pixels"] == valid.sum() == aligned["d1"] and aligned["abs_rel"] < 1e-3, aligned
inverted = depths.depth_errors(1 / truth, spoilt, valid, align=True)
assert inverted["abs_rel"] / inverted["pixels"] > 0.1
plain = depths.depth_errors(1.3 * truth, spoilt, valid, align=False, lowest=0.001, highest=100.0)
assert plain["d1"] == 0 and plain["d2"] == plain["d3"] == plain["pixels"]
np.testing.assert_allclose(plain["abs_rel"], 0.3 * plain["pixels"], rtol=1e-5)
np.testing.assert_allclose(plain["squared"], ((0.3 * truth[valid]) ** 2).sum(), rtol=1e-5)
clipped = depths.depth_errors(truth + 100, spoilt, valid, align=False, lowest=0.001, highest=4.0)
assert clipped["squared"] == ((4 - truth[valid].astype(float)) ** 2).sum()
nothing = depths.depth_errors(truth, spoilt, np.zeros_like(valid), align=True)
assert set(nothing.values()) == {0}

levels = depths.levels(truth)
assert levels.dtype == np.uint16 and (levels.min(), levels.max()) == (0, 65535)
back = truth.min() + levels / 65535 * (truth.max() - truth.min())
np.testing.assert_allclose(back, truth, rtol=0, atol=4e-5)
assert not depths.levels(np.ones((2, 2), np.float32)).any()
colours = depths.coloured(truth)
assert colours.shape == (9, 11, 3) and colours.dtype == np.uint8
ends = (truth.argmin(), truth.argmax())
lowest, highest = (colours[np.unravel_index(place, truth.shape)] for place in ends)
assert lowest[2] > lowest[0] and highest[0] > highest[2]
print("all held")
"""


@pytest.mark.torch_env
def test_depth_maps_grow_as_torch_lets_them_and_are_measured_right(
    tao_environment: Environment, tmp_path: Path
) -> None:
    module = tmp_path / "depths.py"
    module.write_text(planned(inspection())[f"{PACKAGE}/utils/depths.py"].content)
    done = subprocess.run(
        [tao_environment.python, "-c", CHECKS, module], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "all held", done.stderr


# What is generated for tao-deploy.


def deployed(found: Inspection | DepthContext, *hooks: str) -> dict[str, str]:
    """Return the text of every file in tao-deploy."""
    context = found if isinstance(found, DepthContext) else values(found)
    network = load_network("depth_net", "in-repo")
    header = depth_net().header
    reference = DeployReference(
        release=Release(repo="tao-deploy", layout="in-repo", version="7.2.0", commit="1" * 40),
        config_package="nvidia_tao_deploy.config.depth_net",
        config=CONFIG,
        schema_plan=network.schema,
        symbols={},
        hooks=hooks,
        setup_files={"setup.py": {}},
        networks=("depth_net",),
        header=header,
        schema_header=header,
    )
    plan = build_deploy_plan(
        deploy_context(context, reference, year=2026),
        settings={},
        setups={"setup.py": SETUP},
        console_target="x:main",
    )
    return {file.path: file.content for file in plan.files}


DEPLOY = f"nvidia_tao_deploy/cv/{NAME}"
KINDS = pytest.mark.parametrize(
    "found",
    [inspection(), inspection(**METRIC), inspection(KEEPING), inspection(KEEPING, **METRIC)],
    ids=["relative", "metric", "relative of several sizes", "metric of several sizes"],
)


@KINDS
@pytest.mark.parametrize("hooks", [(), ("EngineBuilder._extra_network_flags",)])
def test_deploy_code_is_clean_and_needs_numpy_alone(
    found: Inspection, hooks: tuple[str, ...], tmp_path: Path
) -> None:
    heavy = {"torch", "transformers", "timm", "nvidia_tao_pytorch", "pytorch_lightning", "porter", "cv2"}
    files = deployed(found, *hooks)
    assert_clean(files, tmp_path)
    modules = {path: text for path, text in files.items() if path.endswith(".py") and "/" in path}
    assert {f"{DEPLOY}/{name}.py" for name in ("dataloader", "inferencer", "engine_builder", "depths")} <= {
        *modules
    }
    for path, text in modules.items():
        assert "{%" not in text, path
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & heavy, path
    builder = modules[f"{DEPLOY}/engine_builder.py"]
    assert ("STRONGLY_TYPED" in builder, "import tensorrt" in builder) == (bool(hooks),) * 2


@KINDS
def test_both_repositories_save_and_measure_depth_by_the_same_code(found: Inspection) -> None:
    trained = planned(found)[f"{PACKAGE}/utils/depths.py"].content
    assert deployed(found)[f"{DEPLOY}/depths.py"] == trained


def test_relative_depth_is_aligned_and_metric_depth_is_not() -> None:
    relative, metric = (
        deployed(found)[f"{DEPLOY}/scripts/evaluate.py"] for found in (inspection(), inspection(**METRIC))
    )
    assert "align=True" in relative
    assert "align=False" in metric
    # What does not count is left out by one rule on each side.
    assert "depth < FARTHEST" in deployed(inspection())[f"{DEPLOY}/dataloader.py"]
    assert "depth < dataset_config.max_depth" in deployed(inspection(**METRIC))[f"{DEPLOY}/dataloader.py"]


def test_images_that_keep_their_ratio_have_engines_of_several_sizes() -> None:
    trainer, deploy = planned(inspection(KEEPING)), deployed(inspection(KEEPING))
    for text in (trainer[SPEC].content, deploy[f"{DEPLOY}/specs/gen_trt_engine.yaml"]):
        engine = yaml.safe_load(text)["gen_trt_engine"]
        for axis in ("height", "width"):
            assert [engine[f"{bound}_{axis}"] for bound in ("min", "opt", "max")] == [28, 70, 140]
    export = trainer[f"{PACKAGE}/scripts/export.py"].content
    assert '"images": {0: "batch_size", 2: "height", 3: "width"}' in export
    assert "get_tensor_profile_shape" in deploy[f"{DEPLOY}/inferencer.py"]
    assert "crop_size" in deploy[f"{DEPLOY}/utils.py"]


def test_images_of_one_size_have_an_engine_of_it() -> None:
    trainer, deploy = planned(inspection()), deployed(inspection())
    for text in (trainer[SPEC].content, deploy[f"{DEPLOY}/specs/gen_trt_engine.yaml"]):
        assert "height" not in {key.partition("_")[2] for key in yaml.safe_load(text)["gen_trt_engine"]}
    assert "height" not in trainer[f"{PACKAGE}/scripts/export.py"].content.partition("torch.onnx.export(")[2]
    assert "min_height" not in deploy[f"{DEPLOY}/inferencer.py"]


def test_a_release_without_such_engines_has_them_of_one_size() -> None:
    found = inspection(KEEPING)
    older = tuple(
        msgspec.structs.replace(
            each, fields=tuple(field for field in each.fields if field.name != "min_height")
        )
        for each in CONFIG
    )
    chosen = choice(found)
    chosen = msgspec.structs.replace(
        chosen, reference=msgspec.structs.replace(chosen.reference, config=older)
    )
    context = depth_context(found, chosen, name=NAME, year=2026)
    assert context.image_sizes == ()
    # By these words the gate knows that the script refuses the image, and that nothing else is wrong.
    assert ONE_SIZE in deployed(context)[f"{DEPLOY}/utils.py"]


def test_the_launchers_shell_leaves_lists_as_they_are() -> None:
    entries = values(inspection()).arguments("/data/my set", ())
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {' '.join(entries)}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == values(inspection()).dataset("/data/my set", ())
