"""Scores of models with queries: held against the image processors of transformers, and read by phase 1."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from porter.records.inspection import ModelProbe
from porter.records.probes import InspectModel, MakeModel
from porter.records.sandbox import Environment
from tests.models import ROOT, make_models, read, serve

pytestmark = pytest.mark.torch_env

COMPARED = """
import json, sys, types, torch, transformers
from porter.weights.kernel.queries import MASK_SIZES, semantic_scores
torch.manual_seed(0)
answers = {}
for model_type, kind in (("maskformer", "MaskFormer"), ("mask2former", "Mask2Former")):
    # Small classes, so that resizing before and after the sigmoid decides many pixels.
    result = {
        "class_queries_logits": 2 * torch.randn(2, 6, 5),
        "masks_queries_logits": 9 * torch.randn(2, 6, 12, 20),
    }
    processor = getattr(transformers, kind + "ImageProcessor")()
    sizes = [(48, 80), (30, 50)]
    outputs = types.SimpleNamespace(**result)
    wanted = processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)

    def differing(size):
        made = semantic_scores(result, size)
        maps = [
            torch.nn.functional.interpolate(made[i : i + 1], size=sizes[i], mode="bilinear").argmax(1)[0]
            for i in (0, 1)
        ]
        return sum(int((one != other).sum()) for one, other in zip(maps, wanted))

    sized = MASK_SIZES[model_type]
    answers[model_type] = {
        "right": differing(sized), "wrong": differing(None if sized else (384, 384))
    }
print(json.dumps(answers))
"""

CUT = """
import json, numpy, transformers
from PIL import Image
from porter.probes import preprocess_parity
mask = numpy.arange(64, dtype=numpy.uint8).reshape(8, 8) // 16
processor = transformers.MaskFormerImageProcessor(
    size={"height": 8, "width": 8}, size_divisor=8, do_reduce_labels=True, ignore_index=255
)
made = processor(Image.new("RGB", (8, 8)), segmentation_maps=mask.copy(), return_tensors="np")
found = preprocess_parity._label_map(made)
print(json.dumps({"found": found.tolist(), "wanted": numpy.where(mask == 0, 255, mask - 1).tolist()}))
"""

_SWIN = {
    "model_type": "swin",
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 2,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
_DETR = {
    "model_type": "detr",
    "d_model": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "encoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "num_queries": 4,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "maskformer": (
        "MaskFormerForInstanceSegmentation",
        {"backbone_config": _SWIN, "decoder_config": _DETR, "fpn_feature_size": 32, "mask_feature_size": 32},
    ),
    "eomt": (
        "EomtForUniversalSegmentation",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "num_blocks": 1,
            "num_queries": 4,
            "num_upscale_blocks": 1,
        },
    ),
}


def printed(environment: Environment, script: str) -> Any:
    """Return what *script* prints last, as JSON, where it can import porter."""
    done = subprocess.run(
        [environment.python, "-c", script],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_scores_are_what_image_processors_make_of_queries(tao_environment: Environment) -> None:
    for found in printed(tao_environment, COMPARED).values():
        assert found["right"] == 0
        assert found["wrong"] > 0


def test_masks_that_a_processor_cuts_by_class_are_read_as_one(tao_environment: Environment) -> None:
    answer = printed(tao_environment, CUT)
    assert answer["found"] == answer["wanted"]


@pytest.fixture(scope="module")
def probes(tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelProbe]:
    """What the probe says of each model."""
    root = tmp_path_factory.mktemp("models")
    requests = {
        name: MakeModel(
            folder=str(root / name),
            architecture=architecture,
            config=config,
            processor={"image_processor_type": "MaskFormerImageProcessor"},
            labels=("wall", "sky"),
        )
        for name, (architecture, config) in MODELS.items()
    }
    make_models(tao_environment, root, requests)
    jobs = [
        (
            "inspect_model",
            InspectModel(
                folder=str(root / name), architecture=MODELS[name][0], head=False, image_size=(64, 64)
            ),
        )
        for name in MODELS
    ]
    answers = serve(tao_environment, root / "answers", list(jobs))
    return {name: read(answer, ModelProbe) for name, answer in zip(MODELS, answers, strict=True)}


def test_the_probe_says_how_scores_come_of_queries(probes: dict[str, ModelProbe]) -> None:
    found = probes["maskformer"]
    assert found.queries is not None
    assert found.queries.mask_size is None
    # Beside the backbone, decoders and queries are trained; the one large child would leave a single layer.
    assert found.body == "model.pixel_level_module.encoder"
    assert set(found.class_tensors) == {
        "class_predictor.bias",
        "class_predictor.weight",
        "criterion.empty_weight",
    }
    assert all(each.ok for each in found.exports[-1:])


def test_queries_that_nobody_knows_make_no_scores(probes: dict[str, ModelProbe]) -> None:
    """EoMT's image processor cuts images into patches, and scores are merged from theirs."""
    assert "masks_queries_logits" in probes["eomt"].output_shapes
    assert probes["eomt"].queries is None
