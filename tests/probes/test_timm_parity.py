"""What transformers computes and what timm's model computes under the remap rules, on small models."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from porter.records.base import to_json
from porter.records.inspection import TensorInfo
from porter.records.probes import MakeModel
from porter.records.sandbox import Environment
from porter.reference.timm_facts import Found, find, timm_table
from porter.weights.ledger import audit
from porter.weights.plan import plan_weights
from porter.weights.remap import load_rules
from tests.models import python

pytestmark = pytest.mark.torch_env

SIDE, CLASSES = 64, 5
_VIT = {
    "hidden_size": 48,
    "image_size": SIDE,
    # timm takes it for a share of the width, which is no round number here.
    "intermediate_size": 112,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "patch_size": 16,
}
_SWIN = {
    "depths": [2, 2, 2],
    "embed_dim": 24,
    "image_size": SIDE,
    "num_heads": [2, 4, 8],
    "patch_size": 4,
    "window_size": 8,
}
_WIDTHS = {"depths": [1, 1, 4, 7], "groups_width": 8, "hidden_sizes": [24, 56, 152, 368]}
_XXS = {"expand_ratio": 2.0, "hidden_sizes": [64, 80, 96], "neck_hidden_sizes": [16, 16, 24, 48, 64, 80, 320]}
_B0 = {"depth_coefficient": 1.0, "depthwise_padding": [], "hidden_dim": 1280, "width_coefficient": 1.0}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deit": ("deit", "DeiTForImageClassificationWithTeacher", _VIT),
    "deit with one head": ("deit", "DeiTForImageClassification", _VIT),
    "beit": ("beit", "BeitForImageClassification", _VIT | {"use_relative_position_bias": True}),
    "beit by its token": (
        "beit",
        "BeitForImageClassification",
        _VIT
        | {
            "layer_scale_init_value": 0,
            "use_absolute_position_embeddings": True,
            "use_mean_pooling": False,
        },
    ),
    "data2vec": (
        "data2vec-vision",
        "Data2VecVisionForImageClassification",
        _VIT | {"use_shared_relative_position_bias": True},
    ),
    "swinv2": ("swinv2", "Swinv2ForImageClassification", _SWIN | {"pretrained_window_sizes": [4, 4, 4]}),
    "regnet x": ("regnet", "RegNetForImageClassification", _WIDTHS | {"layer_type": "x"}),
    "regnet y": ("regnet", "RegNetForImageClassification", _WIDTHS | {"layer_type": "y"}),
    "mobilevit": ("mobilevit", "MobileViTForImageClassification", _XXS | {"image_size": SIDE}),
    "mobilevitv2": (
        "mobilevitv2",
        "MobileViTV2ForImageClassification",
        {"image_size": SIDE, "width_multiplier": 0.5},
    ),
    "efficientnet": ("efficientnet", "EfficientNetForImageClassification", _B0 | {"image_size": SIDE}),
}

_COMMON = """
import json, sys, warnings
from pathlib import Path
import timm, torch, transformers
from porter.weights.kernel.files import SPELLING

torch.set_num_threads(1)
torch.set_grad_enabled(False)

def wrapped(case):
    model = timm.create_model(case["timm"], pretrained=False, num_classes=CLASSES, **case["arguments"]).eval()
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
        if case["eps"] is not None and isinstance(module, torch.nn.LayerNorm):
            module.eps = case["eps"]
    return model

def table(state, file=""):
    return [
        {"name": name, "shape": list(tensor.shape), "dtype": SPELLING[tensor.dtype], "file": file}
        for name, tensor in state.items()
    ]
""".replace("CLASSES", str(CLASSES))

_MAKE = (
    _COMMON
    + """
from safetensors.torch import load_file
from porter.weights.kernel.fresh import make
tables = {}
for name, case in json.load(open(sys.argv[1])).items():
    make(case["make"])
    folder = Path(case["make"]["folder"])
    stored = table(load_file(folder / "model.safetensors"), "model.safetensors")
    tables[name] = [stored, table(wrapped(case).state_dict())]
json.dump(tables, open(sys.argv[2], "w"))
"""
)

_COMPARE = (
    _COMMON
    + """
from porter.weights.kernel.files import ModelFolder
from porter.weights.kernel.operations import execute_all
found = {}
for name, case in json.load(open(sys.argv[1])).items():
    folder = Path(case["make"]["folder"])
    kind = getattr(transformers, case["make"]["architecture"])
    source = kind.from_pretrained(folder, attn_implementation="eager").eval()
    target = wrapped(case)
    tensors = dict(execute_all(case["operations"], ModelFolder(folder)))
    target.load_state_dict(tensors, strict=True)
    images = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    wanted, given = source(pixel_values=images).logits, target(images)
    apart = (wanted - given).norm() / wanted.norm()
    found[name] = [apart.item(), (wanted.std(0).mean() / wanted.std()).item()]
json.dump(found, open(sys.argv[2], "w"))
""".replace("SIDE", str(SIDE))
)


def offered(name: str) -> Found:
    model_type, architecture, config = MODELS[name]
    table = timm_table(model_type)
    assert table is not None
    found = find(table, architecture, config, (SIDE, SIDE))
    assert found.reasons == ()
    return found


def remap(name: str, found: Found) -> str:
    table = timm_table(MODELS[name][0])
    assert table is not None
    assert found.entry is not None
    return found.entry.remap or table.remap


@pytest.fixture(scope="module")
def measured(
    tao_environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[float]]:
    """Relative difference of the logits, and how far different images differ in them, by case."""
    root = tmp_path_factory.mktemp("parity")
    cases: dict[str, dict[str, Any]] = {}
    for number, (name, (_, architecture, config)) in enumerate(MODELS.items()):
        found = offered(name)
        assert found.entry is not None
        cases[name] = {
            "make": MakeModel(
                folder=str(root / str(number)),
                architecture=architecture,
                config=config,
                labels=tuple(f"label {index}" for index in range(CLASSES)),
                calibrate=(3, SIDE, SIDE),
            ),
            "timm": found.entry.architecture,
            "arguments": found.arguments,
            "eps": found.norm_eps,
        }
    asked, answered = root / "cases.json", root / "answers.json"
    asked.write_bytes(to_json(cases))
    python(tao_environment, _MAKE, str(asked), str(answered), cwd=root)
    for name, (source, target) in json.loads(answered.read_bytes()).items():
        before = msgspec.convert(source, tuple[TensorInfo, ...])
        after = msgspec.convert(target, tuple[TensorInfo, ...])
        plan = plan_weights(before, after, load_rules(remap(name, offered(name))), num_labels=CLASSES)
        assert audit(plan, before, after) == (), name
        cases[name]["operations"] = plan.operations
    asked.write_bytes(to_json(cases))
    python(tao_environment, _COMPARE, str(asked), str(answered), cwd=root)
    found_all: dict[str, list[float]] = json.loads(answered.read_bytes())
    return found_all


@pytest.mark.parametrize("name", MODELS)
def test_timm_computes_what_transformers_computes(measured: dict[str, list[float]], name: str) -> None:
    relative, spread = measured[name]
    assert relative <= 1e-5
    assert spread > 0.01
