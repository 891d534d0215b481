"""What the templates of a segmentation model make, from values that a port would have."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from porter.errors import ModelRejectedError
from porter.generate.fileplan import build_file_plan
from porter.generate.segmentation import SegmentationContext, palette_of, segmentation_context
from porter.records.plan import PlannedFile
from porter.records.reference import StrategyChoice
from porter.records.sandbox import Environment
from tests.segformer import COMPOSE, LABELS, NATIVE, SQUARE, choice, inspection

NAME = "seg_demo"
SETUP = "from setuptools import setup\n\nsetup(entry_points={'console_scripts': ['a=b:main']})\n"
SPEC = f"nvidia_tao_pytorch/cv/{NAME}/experiment_specs/experiment_spec.yaml"
MASKS = f"nvidia_tao_pytorch/cv/{NAME}/utils/masks.py"


def values(
    strategy: StrategyChoice = NATIVE, labels: tuple[str, ...] = LABELS, *, reduced: bool = False
) -> SegmentationContext:
    facts = inspection(msgspec.structs.replace(SQUARE, reduce_labels=reduced), labels)
    return segmentation_context(facts, choice(strategy), name=NAME, year=2026, classes=labels)


def planned(context: SegmentationContext) -> dict[str, PlannedFile]:
    plan = build_file_plan(context, settings={}, setup=SETUP, console_target="x:main")
    return {file.path: file for file in plan.files}


@pytest.mark.parametrize("strategy", [NATIVE, COMPOSE], ids=lambda each: each.strategy)
def test_every_module_compiles_and_is_clean(strategy: StrategyChoice, tmp_path: Path) -> None:
    files = planned(values(strategy))
    modules = {path: file.content for path, file in files.items() if path.endswith(".py") and "/" in path}
    assert len(modules) > 20
    for path, text in modules.items():
        tree = ast.parse(text)
        assert ast.get_docstring(tree), path
        assert "import porter" not in text
        assert "from porter" not in text
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select=E,F,W,D1,I001",
            "--ignore=E501,I001",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_labels_survive_in_the_spec_and_in_the_schema() -> None:
    files = planned(values())
    spec = yaml.safe_load(files[SPEC].content)
    palette = spec["dataset"]["segment"]["palette"]
    assert [entry["seg_class"] for entry in palette] == list(LABELS)
    assert [entry["label_id"] for entry in palette] == [0, 1, 2, 3]
    schema = files[f"nvidia_tao_pytorch/config/{NAME}/default_config.py"].content
    stated = next(
        ast.literal_eval(keyword.value)
        for call in ast.walk(ast.parse(schema))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "arrList" and "seg_class" in ast.unparse(keyword.value)
    )
    assert stated == palette


def test_where_labels_are_reduced_the_first_class_is_grey_one() -> None:
    assert [entry.rgb for entry in values(reduced=True).palette] == [(1,), (2,), (3,), (4,)]
    assert [entry.rgb for entry in values().palette] == [(0,), (1,), (2,), (3,)]


def test_another_number_of_classes_brings_its_palette() -> None:
    context = values()
    assert context.class_values(LABELS) == {}
    own = context.class_values(("cat", "dog"))
    assert own["dataset.segment.num_classes"] == 2
    assert [entry["seg_class"] for entry in own["dataset.segment.palette"]] == ["cat", "dog"]
    first, second = context.dataset("/data", LABELS), context.dataset("/data", ("cat", "dog"))
    assert first == ["dataset.segment.root_dir=/data"]
    assert second[:2] == ["dataset.segment.root_dir=/data", "dataset.segment.num_classes=2"]


def test_more_classes_than_a_mask_can_hold_are_refused() -> None:
    with pytest.raises(ModelRejectedError, match="256 classes"):
        values(labels=tuple(f"class {number}" for number in range(256)))


def test_a_model_that_is_held_has_no_decoder_of_taos() -> None:
    files = planned(values(COMPOSE))
    spec = yaml.safe_load(files[SPEC].content)
    assert "decode_head" not in spec["model"]
    segmenter = files[f"nvidia_tao_pytorch/cv/{NAME}/model/segmenter.py"].content
    assert "TAOSegFormerHead" not in segmenter
    assert "AutoModelForSemanticSegmentation.from_config" in segmenter
    assert f"nvidia_tao_pytorch/cv/{NAME}/model/backbone.py" not in files
    settings = files[f"nvidia_tao_pytorch/cv/{NAME}/model/hf_config.py"].content
    assert "BODY = 'backbone'" in settings.replace('"', "'")


CHECKS = """
import importlib.util, sys
import numpy as np, torch
from PIL import Image

spec = importlib.util.spec_from_file_location("masks", sys.argv[1])
masks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(masks)


def entry(name, label_id, rgb, mapping_class=None):
    return {"seg_class": name, "mapping_class": mapping_class or name, "label_id": label_id, "rgb": rgb}


def refused(palette, count, said):
    try:
        masks.Palette(palette, count)
    except ValueError as error:
        assert said in str(error), error
    else:
        raise AssertionError(f"{palette} was taken")


palette = masks.Palette([entry("sky", 9, [3]), entry("wall", 2, [7]), entry("door", 5, [8], "wall")], 2)
assert palette.names == ["wall", "sky"]
seen = palette.class_numbers(Image.fromarray(np.array([[7, 8, 3, 0, 255]], np.uint8)))
assert seen.tolist() == [[0, 0, 1, 255, 255]], seen
assert palette.label_ids(np.array([0, 1])).tolist() == [2, 9]
wide = masks.Palette([entry("a", 0, [1]), entry("b", 300, [2])], 2)
assert wide.label_ids(np.array([0, 1])).dtype == np.uint16
deep = Image.fromarray(np.array([[1, 2, 700]], np.uint16))
assert wide.class_numbers(deep).tolist() == [[0, 1, 255]]
colours = masks.Palette([entry("a", 0, [9, 0, 1]), entry("b", 1, [9, 0, 2])], 2)
pixels = np.array([[[9, 0, 2], [9, 0, 1], [0, 9, 1]]], np.uint8)
assert colours.class_numbers(Image.fromarray(pixels)).tolist() == [[1, 0, 255]]
refused([entry("a", 0, [1])], 2, "num_classes is 2")
refused([entry("a", 0, [1]), entry("b", 1, [2], "c")], 2, "['c']")
refused([entry("a", 0, [1]), entry("b", 1, [1])], 2, "look alike")

for given, size in (((5, 7), (33, 20)), ((16, 16), (64, 64)), ((8, 4), (3, 130)), ((1, 1), (5, 5))):
    scores = torch.randn(6, *given, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)[0]
    found = masks.label_map(scores.numpy(), size)
    assert found.shape == size
    best = large.gather(0, torch.from_numpy(found)[None])[0]
    assert (large.max(dim=0).values - best).abs().max() < 1e-5, (given, size)
    # Not by chance: the classes differ, and the nearest score is not good enough.
    nearest = torch.nn.functional.interpolate(scores[None], size=size)[0].argmax(dim=0).numpy()
    assert len(np.unique(found)) > 1 or given == (1, 1)
    assert (nearest != found).any() or given == (1, 1)

covered = masks.overlay(np.full((2, 4, 3), 100, np.uint8), np.array([[0, 0, 1, 1]] * 2))
assert covered.shape == (2, 4, 3) and covered.dtype == np.uint8
assert (covered[:, 0] == covered[:, 1]).all() and (covered[:, 1] != covered[:, 2]).any()
print("all held")
"""


@pytest.mark.torch_env
def test_masks_mean_what_the_palette_says_and_scores_grow_as_torch_lets_them(
    tao_environment: Environment, tmp_path: Path
) -> None:
    module = tmp_path / "masks.py"
    module.write_text(planned(values())[MASKS].content)
    done = subprocess.run(
        [tao_environment.python, "-c", CHECKS, module], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "all held", done.stderr


def test_a_palette_has_one_entry_for_every_class() -> None:
    assert [(e.seg_class, e.mapping_class, e.label_id) for e in palette_of(("b", "a"))] == [
        ("b", "b", 0),
        ("a", "a", 1),
    ]
