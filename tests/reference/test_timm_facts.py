"""Which model of timm stands for a model of transformers, and why none does."""

from __future__ import annotations

from typing import Any

import pytest

from porter.reference.timm_facts import Found, find, timm_table
from porter.resources import tree
from porter.weights.compose import behind
from porter.weights.remap import load_rules, moving

TYPES = sorted(path.stem for path in (tree("references") / "timm").glob("*.toml"))
_VIT: dict[str, Any] = {
    "hidden_size": 192,
    "image_size": [224, 224],
    "intermediate_size": 768,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
}


def found(model_type: str, architecture: str, size: int = 224, **config: Any) -> Found:
    table = timm_table(model_type)
    assert table is not None
    return find(table, architecture, config, (size, size))


def test_the_families_that_timm_has() -> None:
    assert TYPES == [
        "beit",
        "data2vec-vision",
        "deit",
        "efficientnet",
        "mobilevit",
        "mobilevitv2",
        "regnet",
        "swinv2",
    ]
    assert timm_table("../models/vit") is None
    assert timm_table("vit") is None


@pytest.mark.parametrize("model_type", TYPES)
def test_every_entry_has_rules_heads_and_stages(model_type: str) -> None:
    table = timm_table(model_type)
    assert table is not None
    assert table.model_type == model_type
    for entry in table.entry:
        rules = load_rules(entry.remap or table.remap)
        heads = entry.heads or table.heads
        assert rules.head is not None
        assert (rules.head.target_module, len(rules.head.twins) + 1) == (heads[0], len(heads))
        assert entry.stages or table.stages
        assert set(entry.match) <= set(table.config), entry.architecture


def test_arguments_follow_from_the_config() -> None:
    two = found("deit", "DeiTForImageClassificationWithTeacher", **_VIT)
    assert two.entry is not None
    assert (two.entry.architecture, two.entry.heads) == (
        "deit_tiny_distilled_patch16_224",
        ("head", "head_dist"),
    )
    assert two.arguments == {
        "depth": 3,
        "embed_dim": 192,
        "img_size": 224,
        "mlp_ratio": 4.0,
        "num_heads": 3,
        "patch_size": 16,
        "qkv_bias": True,
    }
    assert two.stages == ("patch_embed", "blocks.0", "blocks.1", "blocks.2", "norm")
    assert two.norm_eps == 1e-12
    one = found("deit", "DeiTForImageClassification", **_VIT)
    assert one.entry is not None
    assert (one.entry.remap, one.arguments["reg_tokens"]) == ("deit", 1)


def test_a_share_that_rounds_down_is_kept_whole() -> None:
    for width in range(1, 200):
        arguments = found(
            "deit", "DeiTForImageClassification", hidden_size=49, intermediate_size=width
        ).arguments
        assert int(arguments["mlp_ratio"] * 49) == width


def test_a_choice_becomes_a_word() -> None:
    config: dict[str, Any] = {**_VIT, "use_mean_pooling": False, "use_relative_position_bias": True}
    arguments = found("beit", "BeitForImageClassification", **config).arguments
    assert (arguments["global_pool"], arguments["use_rel_pos_bias"]) == ("token", True)


def test_two_stages_are_no_square() -> None:
    config: dict[str, Any] = {"depths": [2, 2], "num_heads": [2, 2], "window_size": 8, "embed_dim": 24}
    swin = found("swinv2", "Swinv2ForImageClassification", 64, **config)
    assert (swin.arguments["depths"], swin.arguments["num_heads"]) == ([2, 2], [2, 2])
    assert swin.stages == ("patch_embed", "layers.0", "layers.1", "norm")


@pytest.mark.parametrize(
    ("model_type", "architecture", "size", "config", "words"),
    [
        ("deit", "DeiTForImageClassification", 224, {"hidden_act": "gelu_new"}, "the exact GELU"),
        ("swinv2", "Swinv2ForImageClassification", 96, {"window_size": 8}, "windows of 8 do not fill"),
        (
            "regnet",
            "RegNetForImageClassification",
            64,
            {"hidden_sizes": [1, 2, 3, 4]},
            "the nearest, regnet",
        ),
        ("mobilevitv2", "MobileViTV2ForImageClassification", 96, {}, "a multiple of 64"),
        ("efficientnet", "EfficientNetForImageClassification", 600, {}, "hidden_dim"),
        (
            "efficientnet",
            "EfficientNetForImageClassification",
            600,
            {"pooling_type": "max"},
            "takes the mean",
        ),
    ],
)
def test_why_there_is_none(
    model_type: str, architecture: str, size: int, config: dict[str, Any], words: str
) -> None:
    none = found(model_type, architecture, size, **config)
    assert none.entry is None
    assert words in "; ".join(none.reasons)


@pytest.mark.parametrize("name", ["deit-distilled", "efficientnet-b0", "swinv2"])
def test_rules_for_a_model_that_is_held(name: str) -> None:
    plain, moved = load_rules(name), behind(load_rules(name), "timm_model.")
    for before, after in zip(moving(plain), moving(moved), strict=True):
        assert after.sources == before.sources
        assert after.targets == tuple(f"timm_model.{target}" for target in before.targets)
    assert moved.head is not None
    assert plain.head is not None
    assert moved.head.target_module == f"timm_model.{plain.head.target_module}"
    assert all(counter.over.startswith("timm_model.") for counter in moved.counters.values())
