"""What the templates make of a segmentation model that is held, of values that a port would have."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from porter.generate.fileplan import build_file_plan
from porter.generate.segmentation import SegmentationContext, segmentation_context
from porter.records.inspection import ExportAttempt, ModelProbe, QueryFacts, TensorInfo
from porter.records.plan import PlannedFile
from porter.records.reference import StrategyChoice
from porter.reference.hold import holding
from tests.generate.clean import assert_clean
from tests.segformer import COMPOSE, LABELS, NATIVE, choice, inspection, segformer

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


@pytest.mark.parametrize("size", [None, (384, 384)])
def test_queries_become_scores_before_anything_else_sees_them(
    size: tuple[int, int] | None, tmp_path: Path
) -> None:
    assert COMPOSE.held is not None
    held = msgspec.structs.replace(COMPOSE.held, queries=QueryFacts(mask_size=size))
    files = planned(values(msgspec.structs.replace(COMPOSE, held=held)))
    segmenter = files[f"nvidia_tao_pytorch/cv/{NAME}/model/segmenter.py"].content
    assert "AutoModelForUniversalSegmentation.from_config" in segmenter
    assert ("size=(384, 384)" in segmenter) == (size is not None)
    assert ".logits" not in segmenter
    # Shares are no logits, so that cross entropy is no loss for them: the network has its own.
    trainer = files[f"nvidia_tao_pytorch/cv/{NAME}/model/segmenter_pl_model.py"].content
    assert "cross_entropy" not in trainer
    assert "query_labels" in trainer
    assert_clean({path: file.content for path, file in files.items()}, tmp_path, longest=None)


@pytest.mark.parametrize(
    ("outputs", "queries", "fits"),
    [
        ({"logits": (1, 4, 8, 8)}, None, True),
        ({"class_queries_logits": (1, 9, 5), "masks_queries_logits": (1, 9, 8, 8)}, None, False),
        ({"masks_queries_logits": (1, 9, 8, 8)}, QueryFacts(mask_size=None), True),
    ],
)
def test_outputs_that_nobody_makes_scores_of_are_no_model_to_hold(
    outputs: dict[str, tuple[int, ...]], queries: QueryFacts | None, fits: bool
) -> None:
    probe = ModelProbe(
        transformers="4.57.6",
        state=(TensorInfo(name="body.weight", shape=(2, 2), dtype="F32"),),
        output_shapes=outputs,
        exports=(ExportAttempt(exporter="legacy", opset=17, attention="eager", ok=True),),
        queries=queries,
        body="body",
    )
    found = holding(msgspec.structs.replace(inspection(), probe=probe), segformer())
    assert (found.model is not None) == fits
    if not fits:
        assert "class_queries_logits, masks_queries_logits" in found.reasons[0]
