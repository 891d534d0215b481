"""What the templates make of a segmentation model that is held, of values that a port would have."""

from __future__ import annotations

from pathlib import Path

import yaml

from porter.generate.fileplan import build_file_plan
from porter.generate.segmentation import SegmentationContext, segmentation_context
from porter.records.plan import PlannedFile
from porter.records.reference import StrategyChoice
from tests.generate.clean import assert_clean
from tests.segformer import COMPOSE, LABELS, NATIVE, choice, inspection

NAME = "seg_demo"
SETUP = "from setuptools import setup\n\nsetup(entry_points={'console_scripts': ['a=b:main']})\n"
SPEC = f"nvidia_tao_pytorch/cv/{NAME}/experiment_specs/experiment_spec.yaml"


def values(strategy: StrategyChoice) -> SegmentationContext:
    return segmentation_context(inspection(), choice(strategy), name=NAME, year=2026, classes=LABELS)


def planned(context: SegmentationContext) -> dict[str, PlannedFile]:
    plan = build_file_plan(context, settings={}, setup=SETUP, console_target="x:main")
    return {file.path: file for file in plan.files}


def test_every_module_compiles_and_is_clean(tmp_path: Path) -> None:
    files = planned(values(COMPOSE))
    assert len([path for path in files if path.endswith(".py") and "/" in path]) > 20
    assert_clean({path: file.content for path, file in files.items()}, tmp_path, longest=None)


def test_another_number_of_classes_brings_its_palette() -> None:
    context = values(NATIVE)
    assert context.class_values(LABELS) == {}
    own = context.class_values(("cat", "dog"))
    assert own["dataset.segment.num_classes"] == 2
    assert [entry["seg_class"] for entry in own["dataset.segment.palette"]] == ["cat", "dog"]
    first, second = context.dataset("/data", LABELS), context.dataset("/data", ("cat", "dog"))
    assert first == ["dataset.segment.root_dir=/data"]
    assert second[:2] == ["dataset.segment.root_dir=/data", "dataset.segment.num_classes=2"]


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
