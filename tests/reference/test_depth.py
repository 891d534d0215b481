"""Which Depth Anything models the encoder and the heads of depth_net are, and why the others are not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from porter.reference.choose import choose
from porter.reference.coverage import native_coverage
from tests.depth_net import SQUARE, depth_net, inspection

SIZES = {
    "vits": (384, 12, 6, [48, 96, 192, 384], 64, [3, 6, 9, 12]),
    "vitb": (768, 12, 12, [96, 192, 384, 768], 128, [3, 6, 9, 12]),
    "vitl": (1024, 24, 16, [256, 512, 1024, 1024], 256, [5, 12, 18, 24]),
}


def sized(name: str, **encoder: Any) -> Any:
    width, depth, heads, neck, fusion, taken = SIZES[name]
    return inspection(
        msgspec.structs.replace(SQUARE, size=(518, 518)),
        {
            "hidden_size": width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "image_size": 518,
            "out_indices": taken,
            **encoder,
        },
        reassemble_hidden_size=width,
        neck_hidden_sizes=neck,
        fusion_hidden_size=fusion,
    )


@pytest.mark.parametrize("name", SIZES)
def test_the_published_sizes_have_the_networks_own_names(name: str) -> None:
    match = native_coverage(sized(name), depth_net()).match
    assert match is not None
    assert (match.name, match.own, match.label) == (name, True, name)
    assert match.widths == tuple(SIZES[name][3])
    assert match.layers == tuple(place - 1 for place in SIZES[name][5])
    assert match.arguments["embed_dim"] == SIZES[name][0]
    assert match.differences == ()


def test_the_first_version_takes_the_last_blocks() -> None:
    match = native_coverage(sized("vits", out_indices=[9, 10, 11, 12]), depth_net()).match
    assert match is not None
    assert match.layers == (8, 9, 10, 11)


def test_other_sizes_are_built_in_the_models() -> None:
    match = native_coverage(inspection(), depth_net()).match
    assert match is not None
    assert match.name == ""
    assert match.label == "DinoVisionTransformer"
    assert "vits, vitb, vitl alone" in match.differences[0]
    chosen = choose(inspection(), [depth_net()], depth_net().release)
    assert chosen.strategy.strategy == "native"
    assert "the port builds it in the model's sizes" in chosen.strategy.reason
    assert "it has the model's architecture itself" in " ".join(chosen.candidates[0].reasons)


@pytest.mark.parametrize(
    ("config", "encoder", "reason"),
    [
        ({"patch_size": 16}, {"patch_size": 16}, "patches of 14 pixels"),
        ({"head_hidden_size": 64}, {}, "takes 32 channels"),
        ({"reassemble_factors": [4, 2, 1, 1]}, {}, "by 4, 2, 1 and 1/2"),
        ({"max_depth": 80}, {}, "relative depth has no scale"),
        ({"head_in_index": 0}, {}, "fused last"),
        ({}, {"model_type": "swin"}, "is a DINOv2"),
        ({}, {"apply_layernorm": False}, "last norm"),
        ({}, {"reshape_hidden_states": True}, "last norm"),
        ({}, {"layer_norm_eps": 1e-5}, "epsilon 1e-06"),
        ({}, {"hidden_act": "relu"}, "exact GELU"),
        ({}, {"use_swiglu_ffn": True}, "gated MLP"),
        ({}, {"out_indices": [0, 2, 3, 4]}, "nothing from before the first"),
        ({}, {"hidden_size": 48}, "encoder's own width"),
    ],
)
def test_what_the_network_does_not_compute_is_refused(
    config: dict[str, Any], encoder: dict[str, Any], reason: str
) -> None:
    coverage = native_coverage(inspection(SQUARE, encoder, **config), depth_net())
    assert coverage.match is None
    assert reason in "; ".join(coverage.reasons)


def test_images_of_broken_patches_are_refused() -> None:
    odd = inspection(msgspec.structs.replace(SQUARE, size=(72, 72)))
    assert "whole patches" in "; ".join(native_coverage(odd, depth_net()).reasons)


def test_a_release_whose_class_takes_less_is_refused() -> None:
    old = depth_net()
    less = msgspec.structs.replace(
        old.backbone_classes[0], parameters=("img_size", "patch_size", "embed_dim")
    )
    coverage = native_coverage(inspection(), msgspec.structs.replace(old, backbone_classes=(less,)))
    assert "DinoVisionTransformer takes no depth" in coverage.reasons[0]
    gone = native_coverage(inspection(), msgspec.structs.replace(old, backbone_classes=()))
    assert "none of the 0 entries" in gone.reasons[0]
