"""Pairs of a transformers classifier and timm's model of its architecture, as small as the classes allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from porter.records.finder import FindRulesRequest, TimmCandidate


class Case(NamedTuple):
    """A pair: the config of transformers, and what timm builds."""

    architecture: str
    config: dict[str, Any]
    timm: str
    arguments: dict[str, Any]
    size: int = 32


_VIT = {
    "hidden_size": 32,
    "image_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 8,
}
_TIMM_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "mlp_ratio": 2}
_DINO = {key: value for key, value in _VIT.items() if key != "intermediate_size"} | {"mlp_ratio": 2}
_SWIN = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
_TIMM_SWIN = {
    "img_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
_WIDTHS = [8, 16, 24, 32]

CASES: dict[str, Case] = {
    "vit": Case("ViTForImageClassification", _VIT, "vit_base_patch16_224", _TIMM_VIT),
    "vit_msn": Case("ViTMSNForImageClassification", _VIT, "vit_base_patch16_224", _TIMM_VIT),
    "ijepa": Case(
        "IJepaForImageClassification",
        _VIT,
        "vit_base_patch16_224",
        {**_TIMM_VIT, "class_token": False, "global_pool": "avg", "fc_norm": False},
    ),
    "deit": Case("DeiTForImageClassificationWithTeacher", _VIT, "deit_base_distilled_patch16_224", _TIMM_VIT),
    "beit": Case(
        "BeitForImageClassification",
        {**_VIT, "use_relative_position_bias": True, "use_mean_pooling": True},
        "beit_base_patch16_224",
        _TIMM_VIT,
    ),
    "data2vec-vision": Case(
        "Data2VecVisionForImageClassification",
        {**_VIT, "use_relative_position_bias": True, "use_mean_pooling": True},
        "beit_base_patch16_224",
        _TIMM_VIT,
    ),
    "dinov2": Case("Dinov2ForImageClassification", _DINO, "vit_base_patch14_dinov2", _TIMM_VIT),
    "dinov2_with_registers": Case(
        "Dinov2WithRegistersForImageClassification", _DINO, "vit_base_patch14_reg4_dinov2", _TIMM_VIT
    ),
    "swin": Case("SwinForImageClassification", _SWIN, "swin_tiny_patch4_window7_224", _TIMM_SWIN, 64),
    "swinv2": Case("Swinv2ForImageClassification", _SWIN, "swinv2_tiny_window8_256", _TIMM_SWIN, 64),
    "convnext": Case(
        "ConvNextForImageClassification",
        {"hidden_sizes": _WIDTHS, "depths": [1, 1, 2, 1]},
        "convnext_tiny",
        {"dims": _WIDTHS, "depths": [1, 1, 2, 1]},
    ),
    "convnextv2": Case(
        "ConvNextV2ForImageClassification",
        {"hidden_sizes": _WIDTHS, "depths": [1, 1, 2, 1]},
        "convnextv2_tiny",
        {"dims": _WIDTHS, "depths": [1, 1, 2, 1]},
    ),
    "resnet": Case("ResNetForImageClassification", {}, "resnet50", {}, 64),
    "resnet-basic": Case(
        "ResNetForImageClassification",
        {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]},
        "resnet18",
        {},
        64,
    ),
    "regnet": Case("RegNetForImageClassification", {}, "regnety_040", {}, 64),
    "hiera": Case(
        "HieraForImageClassification",
        {"image_size": [64, 64], "embed_dim": 16, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 4, 8]},
        "hiera_tiny_224",
        {"img_size": 64, "embed_dim": 16, "num_heads": 1, "stages": [1, 2, 1, 1]},
        64,
    ),
    "mobilenet_v1": Case(
        "MobileNetV1ForImageClassification", {}, "mobilenetv1_100", {"pad_type": "same"}, 64
    ),
    "mobilenet_v2": Case(
        "MobileNetV2ForImageClassification", {}, "mobilenetv2_100", {"pad_type": "same"}, 64
    ),
    "mobilevit": Case("MobileViTForImageClassification", {"image_size": 128}, "mobilevit_s", {}, 128),
    "mobilevitv2": Case("MobileViTV2ForImageClassification", {"image_size": 64}, "mobilevitv2_100", {}, 64),
    "efficientnet": Case(
        "EfficientNetForImageClassification",
        {"image_size": 64, "width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280},
        "tf_efficientnet_b0",
        {},
        64,
    ),
    "levit": Case(
        "LevitForImageClassificationWithTeacher", {"image_size": 128}, "levit_128", {"img_size": 128}, 128
    ),
    "pvt_v2": Case(
        "PvtV2ForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [8, 16, 40, 64],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 5, 8],
        },
        "pvt_v2_b0",
        {"embed_dims": [8, 16, 40, 64], "depths": [1, 1, 1, 1]},
        64,
    ),
    "focalnet": Case("FocalNetForImageClassification", {}, "focalnet_tiny_srf", {}, 64),
    "bit": Case("BitForImageClassification", {}, "resnetv2_50x1_bit", {}, 64),
    "siglip": Case(
        "SiglipForImageClassification",
        {
            "vision_config": {**_VIT, "num_channels": 3},
            "text_config": {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "vocab_size": 50,
            },
        },
        "vit_base_patch16_siglip_224",
        {**_TIMM_VIT, "global_pool": "avg", "fc_norm": False, "act_layer": "gelu_tanh"},
    ),
    "clip": Case(
        "CLIPForImageClassification",
        {
            "vision_config": {**_VIT, "num_channels": 3, "projection_dim": 16},
            "text_config": {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "vocab_size": 50,
            },
        },
        "vit_base_patch16_clip_224",
        {
            **_TIMM_VIT,
            "global_pool": "avg",
            "fc_norm": False,
            "final_norm": False,
            "act_layer": "quick_gelu",
        },
    ),
    "hgnet_v2": Case("HGNetV2ForImageClassification", {}, "hgnetv2_b4", {}, 64),
    "poolformer": Case("PoolFormerForImageClassification", {}, "poolformer_s12", {}, 64),
    "swiftformer": Case("SwiftFormerForImageClassification", {"image_size": 64}, "swiftformer_xs", {}, 64),
}


def folder(root: Path, model_type: str, case: Case, labels: int = 5) -> Path:
    """Write the config of a case and return its folder."""
    made = root / model_type
    made.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": [case.architecture],
        "model_type": model_type.removesuffix("-basic"),
        "id2label": {str(index): f"label {index}" for index in range(labels)},
        "label2id": {f"label {index}": index for index in range(labels)},
        **case.config,
    }
    (made / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return made


def request(root: Path, model_type: str, case: Case, **changes: Any) -> FindRulesRequest:
    """Return the request of a case."""
    return FindRulesRequest(
        folder=str(folder(root, model_type, case)),
        work=str(root / "work"),
        image_size=(case.size, case.size),
        **{"candidates": (TimmCandidate(architecture=case.timm, arguments=case.arguments),), **changes},
    )
