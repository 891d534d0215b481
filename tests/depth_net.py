"""TAO's depth_net as a reader of its clone would record it: names, fields and defaults alone."""

from __future__ import annotations

from typing import Any

from porter.records.inspection import Inspection, ProcessorFacts, Source, TaskChoice
from porter.records.reference import (
    BackboneClass,
    Candidate,
    ClassFacts,
    ConfigClass,
    ConfigField,
    Reference,
    ReferenceChoice,
    Release,
    StrategyChoice,
)
from porter.reference.coverage import native_coverage
from porter.reference.network import load_network

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SQUARE = ProcessorFacts(kind="DPTImageProcessor", size=(70, 70), resample=3, multiple=14, mean=MEAN, std=STD)

_CONFIG = "nvidia_tao_pytorch.config.depth_net"
_COMMON = "nvidia_tao_pytorch.config.common.common_config"
_ENCODER = "nvidia_tao_pytorch.cv.depth_net.model.mono_depth.depth_anything_v2.dinov2.DinoVisionTransformer"


def _field(name: str, value: Any, type_: str = "int", helper: str = "INT_FIELD") -> ConfigField:
    return ConfigField(name=name, type=type_, helper=helper, value=value, default_value=value)


def _section(name: str, type_: str) -> ConfigField:
    return ConfigField(name=name, type=type_, helper="DATACLASS_FIELD", value=type_)


def _class(name: str, *fields: ConfigField, module: str) -> ConfigClass:
    return ConfigClass(name=name, module=module, bases=(), fields=fields)


def _list(name: str, value: list[Any], type_: str) -> ConfigField:
    return _field(name, value, f"List[{type_}]", "LIST_FIELD")


def _text(name: str, value: str) -> ConfigField:
    return _field(name, value, "str", "STR_FIELD")


CONFIG = (
    _class("DepthNetInferenceExpConfig", module=f"{_CONFIG}.default_config"),
    _class("DepthNetEvalExpConfig", module=f"{_CONFIG}.default_config"),
    _class("MonoBackBone", _text("pretrained_path", ""), module=f"{_CONFIG}.model"),
    _class(
        "DepthNetModelConfig",
        _text("model_type", "MetricDepthAnything"),
        _section("mono_backbone", "MonoBackBone"),
        _text("encoder", "vitl"),
        module=f"{_CONFIG}.model",
    ),
    _class(
        "DepthNetAugmentationConfig",
        _list("input_mean", [0.5, 0.5, 0.5], "float"),
        _list("input_std", [0.5, 0.5, 0.5], "float"),
        _list("crop_size", [518, 518], "int"),
        module=f"{_CONFIG}.dataset",
    ),
    _class(
        "BaseDepthNetDatasetConfig",
        ConfigField(
            name="data_sources",
            type="Optional[List[Dict[str, str]]]",
            helper="LIST_FIELD",
            value=None,
            default_value=[{"dataset_name": "", "data_file": ""}],
        ),
        _field("batch_size", 1),
        _section("augmentation", "DepthNetAugmentationConfig"),
        module=f"{_CONFIG}.dataset",
    ),
    _class(
        "DepthNetDatasetConfig",
        _text("dataset_name", "StereoDataset"),
        _field("max_depth", None, "Optional[float]", "FLOAT_FIELD"),
        _field("min_depth", None, "Optional[float]", "FLOAT_FIELD"),
        *(
            _section(f"{task}_dataset", "BaseDepthNetDatasetConfig")
            for task in ("train", "val", "test", "infer")
        ),
        module=f"{_CONFIG}.dataset",
    ),
    _class("OptimConfig", _field("lr", 0.0001, "float", "FLOAT_FIELD"), module=f"{_CONFIG}.train"),
    _class("DepthNetTrainExpConfig", _section("optim", "OptimConfig"), module=f"{_CONFIG}.train"),
    _class("ExportConfig", _field("input_width", 544), _field("input_height", 960), module=_COMMON),
    _class("DepthNetTrtConfig", _text("data_type", "FP32"), module=f"{_CONFIG}.deploy"),
    _class(
        "DepthNetGenTrtEngineExpConfig",
        _section("tensorrt", "DepthNetTrtConfig"),
        _field("min_height", None, "Optional[int]"),
        module=f"{_CONFIG}.deploy",
    ),
)


def depth_net() -> Reference:
    """Return the reference as tao-pytorch 7.0.1 has it, without its files."""
    network = load_network("depth_net", "in-repo")
    facts = ClassFacts(name="Any", module="nvidia_tao_pytorch.cv.depth_net", bases=())
    header = ("# SPDX-FileCopyrightText: Copyright (c) {year} Somebody.", "# SPDX-License-Identifier: Some")
    return Reference(
        name="depth_net",
        task="depth-estimation",
        release=Release(repo="tao-pytorch", layout="in-repo", version="7.0.1", commit="0" * 40),
        package=network.package,
        config_package=network.config_package,
        generated=network.generated,
        schema_plan=network.schema,
        files=(),
        pl_module=facts,
        data_module=facts,
        dataset=facts,
        hooks=network.hooks.required,
        config=CONFIG,
        scripts=(),
        checkpoint_filename="dn_model",
        tao_model="",
        tags={},
        onnx_inputs=("images",),
        onnx_outputs=("outputs",),
        image_suffixes=(),
        console_scripts={},
        networks=(),
        backbones=(),
        backbone_classes=(
            BackboneClass(
                target=_ENCODER,
                parameters=(
                    "img_size",
                    "patch_size",
                    "in_chans",
                    "embed_dim",
                    "depth",
                    "num_heads",
                    "mlp_ratio",
                    "qkv_bias",
                    "drop_path_rate",
                    "init_values",
                    "block_chunks",
                ),
            ),
        ),
        header=header,
        schema_header=header,
    )


def inspection(
    processor: ProcessorFacts = SQUARE, encoder: dict[str, Any] | None = None, **config: Any
) -> Inspection:
    """Return what phase 1 knows of a small Depth Anything.

    Args:
        processor: what prepares its images, and makes them of its size.
        encoder: what its encoder's config says beside the sizes.
        config: what its config says beside them.
    """
    backbone = {
        "model_type": "dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": 70,
        "out_indices": [1, 2, 3, 4],
        "reshape_hidden_states": False,
        **(encoder or {}),
    }
    sizes = {"reassemble_hidden_size": 32, "neck_hidden_sizes": [8, 16, 24, 32], "fusion_hidden_size": 16}
    return Inspection(
        source=Source(kind="hub", ref="org/depth", sha="0" * 40, folder="/nowhere"),
        model_type="depth_anything",
        architecture="DepthAnythingForDepthEstimation",
        task=TaskChoice(task="depth-estimation", source="architecture", reason="its class"),
        config={"backbone_config": backbone, **sizes, **config},
        labels=(),
        image_size=processor.size,
        processor=processor,
    )


def choice(found: Inspection) -> ReferenceChoice:
    """Return phase 2's result for a model that the network has."""
    match = native_coverage(found, depth_net()).match
    assert match is not None
    return ReferenceChoice(
        reference=depth_net(),
        candidates=(Candidate(name="depth_net", score=100, reasons=("only one",)),),
        strategy=StrategyChoice(strategy="native", reason="it is there", backbone=match),
    )
