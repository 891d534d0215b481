"""Image classifiers of the families of transformers: architecture and the config of a small one."""

from __future__ import annotations

from typing import Any

_TOKENS = {
    "hidden_size": 32,
    "image_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 8,
}
_WINDOWS = {
    "depths": [1, 2],
    "embed_dim": 16,
    "image_size": 32,
    "num_heads": [2, 2],
    "patch_size": 2,
    "window_size": 4,
}
_FOCAL = {"focal_levels": [2, 2], "focal_windows": [3, 3]}
_STAGES = {"depths": [1, 2], "embedding_size": 8, "hidden_sizes": [8, 16]}
_NEXT = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 12, 16, 20]}
_PYRAMID = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 24, 32],
    "image_size": 64,
    "mlp_ratios": [2, 2, 2, 2],
    "num_attention_heads": [1, 2, 3, 4],
}
_LEVIT = {
    "depths": [1, 1, 1],
    "hidden_sizes": [16, 24, 32],
    "image_size": 64,
    "key_dim": [8, 8, 8],
    "num_attention_heads": [2, 2, 2],
}
_DUAL = {
    "text_config": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 64,
    },
    "vision_config": {**_TOKENS, "projection_dim": 16},
}
_MOBILE_VIT = {
    "hidden_sizes": [16, 24, 32],
    "image_size": 64,
    "mlp_ratio": 2.0,
    "neck_hidden_sizes": [8, 8, 12, 16, 20, 24, 32],
    "num_attention_heads": 2,
}
_HIERA = {
    "depths": [1, 1, 2, 1],
    "embed_dim": 16,
    "image_size": [32, 32],
    "masked_unit_size": [8, 8],
    "num_heads": [1, 1, 2, 2],
}
_EFFICIENT = {
    "depth_coefficient": 0.4,
    "hidden_dim": 320,
    "image_size": 64,
    "width_coefficient": 0.25,
}
_HGNET = {
    "embedding_size": 8,
    "hidden_sizes": [16, 24, 32, 40],
    "stem_channels": [3, 4, 8],
    "stage_in_channels": [8, 16, 24, 32],
    "stage_mid_channels": [4, 4, 8, 8],
    "stage_out_channels": [16, 24, 32, 40],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_numb_of_layers": [2, 2, 2, 2],
}
_DATA2VEC = {**_TOKENS, "layer_scale_init_value": 0.1}
_BEIT = {**_DATA2VEC, "use_mean_pooling": True, "use_relative_position_bias": True}
_SWIFT = {"depths": [1, 1, 1, 2], "embed_dims": [8, 16, 24, 32], "image_size": 64}
_BIT = {"depths": [1, 2], "embedding_size": 8, "hidden_sizes": [16, 32], "num_groups": 4}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "beit": ("BeitForImageClassification", _BEIT),
    "bit": ("BitForImageClassification", _BIT),
    "clip": ("CLIPForImageClassification", _DUAL),
    "convnext": ("ConvNextForImageClassification", _NEXT),
    "convnextv2": ("ConvNextV2ForImageClassification", _NEXT),
    "cvt": (
        "CvtForImageClassification",
        {"depth": [1, 2, 3], "embed_dim": [8, 16, 24], "num_heads": [1, 2, 3]},
    ),
    "data2vec-vision": (
        "Data2VecVisionForImageClassification",
        {**_DATA2VEC, "use_shared_relative_position_bias": True},
    ),
    "deit": ("DeiTForImageClassification", _TOKENS),
    "deit-teacher": ("DeiTForImageClassificationWithTeacher", _TOKENS),
    "dinov2": ("Dinov2ForImageClassification", _TOKENS),
    "dinov2-swiglu": ("Dinov2ForImageClassification", {**_TOKENS, "use_swiglu_ffn": True}),
    "dinov2_with_registers": (
        "Dinov2WithRegistersForImageClassification",
        {**_TOKENS, "num_register_tokens": 2},
    ),
    "donut-swin": ("DonutSwinForImageClassification", _WINDOWS),
    "efficientnet": ("EfficientNetForImageClassification", _EFFICIENT),
    "focalnet": (
        "FocalNetForImageClassification",
        {"depths": [1, 1], "embed_dim": 16, **_FOCAL, "image_size": 32, "patch_size": 2},
    ),
    "hgnet_v2": ("HGNetV2ForImageClassification", _HGNET),
    "hiera": ("HieraForImageClassification", _HIERA),
    "ijepa": ("IJepaForImageClassification", _TOKENS),
    "levit": ("LevitForImageClassification", _LEVIT),
    "levit-teacher": ("LevitForImageClassificationWithTeacher", _LEVIT),
    "metaclip_2": ("MetaClip2ForImageClassification", _DUAL),
    "mobilenet_v1": ("MobileNetV1ForImageClassification", {"depth_multiplier": 0.25, "image_size": 32}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", {"depth_multiplier": 0.25, "image_size": 32}),
    "mobilevit": ("MobileViTForImageClassification", _MOBILE_VIT),
    "mobilevitv2": ("MobileViTV2ForImageClassification", {"image_size": 64, "width_multiplier": 0.25}),
    "poolformer": ("PoolFormerForImageClassification", {**_NEXT, "image_size": 64}),
    "pvt": ("PvtForImageClassification", _PYRAMID),
    "pvt_v2": ("PvtV2ForImageClassification", _PYRAMID),
    "pvt_v2-linear": ("PvtV2ForImageClassification", {**_PYRAMID, "linear_attention": True}),
    "regnet": ("RegNetForImageClassification", {**_STAGES, "groups_width": 4, "layer_type": "y"}),
    "resnet": ("ResNetForImageClassification", {**_STAGES, "layer_type": "basic"}),
    "resnet-bottleneck": ("ResNetForImageClassification", {**_STAGES, "layer_type": "bottleneck"}),
    "segformer": ("SegformerForImageClassification", {**_PYRAMID, "decoder_hidden_size": 16}),
    "siglip": ("SiglipForImageClassification", _DUAL),
    "siglip2": ("Siglip2ForImageClassification", _DUAL),
    "swiftformer": ("SwiftFormerForImageClassification", _SWIFT),
    "swin": ("SwinForImageClassification", _WINDOWS),
    "swinv2": ("Swinv2ForImageClassification", _WINDOWS),
    "textnet": ("TextNetForImageClassification", {}),
    "vit": ("ViTForImageClassification", _TOKENS),
    "vit_msn": ("ViTMSNForImageClassification", _TOKENS),
}
"""Architecture and config by the name of a case."""

REWRITTEN = {
    "bit": {"norm-by-parts", "pooling-apart"},
    "dinov2_with_registers": {"static-sizes"},
    "mobilevitv2": {"fold-by-permute"},
    "pvt_v2-linear": {"averaging-matrices"},
}
"""The cases whose export to ONNX fails as transformers has them, and what they need."""

NOT_EXACT = ("bit", "pvt_v2-linear")
NO_IMAGES = ("siglip2",)
"""The cases whose model takes no images (B, 3, H, W), but patches: porter turns them away in phase 1."""

_NOT_TESTED = (
    *("deit", "dinov2-swiglu", "donut-swin", "hgnet_v2", "levit-teacher", "metaclip_2", "resnet-bottleneck"),
    *("segformer", "textnet"),
)
TESTED = [name for name in FAMILIES if name not in _NOT_TESTED]
"""The cases that the tests run; of the others, ``python -m tests.transplant`` shows what becomes of them."""

EXPORTED = ("clip", "mobilevit", "resnet", "swin", *REWRITTEN)
"""The cases that the tests export to ONNX."""
