"""TAO's segformer as a reader of its clone would record it: names, fields and defaults alone."""

from __future__ import annotations

from typing import Any

from porter.records.inspection import Inspection, ProcessorFacts, Source, TaskChoice
from porter.records.reference import (
    BackboneMatch,
    Candidate,
    ClassFacts,
    ConfigClass,
    ConfigField,
    HeldModel,
    Reference,
    ReferenceChoice,
    Release,
    StrategyChoice,
)
from porter.reference.network import load_network

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SQUARE = ProcessorFacts(kind="SegformerImageProcessor", size=(64, 64), mean=MEAN, std=STD)
LABELS = ("wall", 'a "quoted" \\ label', "line\nbreak", "sky")

_MODULE = "nvidia_tao_pytorch.config.segformer.default_config"
_COMMON = "nvidia_tao_pytorch.config.common.common_config"


def _field(name: str, value: Any, type_: str = "int", helper: str = "INT_FIELD") -> ConfigField:
    return ConfigField(name=name, type=type_, helper=helper, value=value, default_value=value)


def _section(name: str, type_: str) -> ConfigField:
    return ConfigField(name=name, type=type_, helper="DATACLASS_FIELD", value=type_)


def _class(name: str, *fields: ConfigField, base: str = "", module: str = _MODULE) -> ConfigClass:
    return ConfigClass(name=name, module=module, bases=(base,) if base else (), fields=fields)


def _floats(name: str) -> ConfigField:
    return _field(name, [0.5, 0.5, 0.5], "List[float]", "LIST_FIELD")


CONFIG = (
    _class("BackboneConfig", _field("type", "fan", "str", "STR_FIELD")),
    _class(
        "SegFormerHeadConfig",
        _field("in_channels", [1, 2, 3, 4], "List[int]", "LIST_FIELD"),
        _field("feature_strides", [4, 8, 16, 32], "List[int]", "LIST_FIELD"),
        _field("decoder_params", {"embed_dim": 768}, "Dict[str, int]", "DICT_FIELD"),
    ),
    _class(
        "SFModelConfig",
        _section("backbone", "BackboneConfig"),
        _section("decode_head", "SegFormerHeadConfig"),
    ),
    _class("SFAugmentationSegmentConfig", _floats("mean"), _floats("std")),
    _class(
        "SFDatasetSegmentConfig",
        _field("num_classes", 2),
        _field("img_size", 256),
        _field("batch_size", -1),
        _section("augmentation", "SFAugmentationSegmentConfig"),
        _field("label_transform", "norm", "str", "STR_FIELD"),
        _field("palette", [], "Optional[List[Dict[Any, Any]]]", "LIST_FIELD"),
    ),
    _class("SFDatasetConfig", _section("segment", "SFDatasetSegmentConfig")),
    _class("SFOptimConfig", _field("lr", 0.00006, "float", "FLOAT_FIELD")),
    _class("SFTrainExpConfig", _section("optim", "SFOptimConfig")),
    *(
        _class(name, _field("batch_size", -1), _field("vis_after_n_batches", 16))
        for name in ("SFEvalExpConfig", "SFInferenceExpConfig")
    ),
    _class("ExportConfig", _field("input_width", 544), _field("input_height", 960), module=_COMMON),
    _class("SFTrtConfig", _field("data_type", "FP32", "str", "STR_FIELD")),
    _class("SFGenTrtEngineExpConfig", _section("tensorrt", "SFTrtConfig")),
)


def segformer() -> Reference:
    """Return the reference as tao-pytorch 7.0.1 has it, without its files."""
    network = load_network("segformer", "in-repo")
    facts = ClassFacts(name="Any", module="nvidia_tao_pytorch.cv.segformer", bases=())
    header = ("# SPDX-FileCopyrightText: Copyright (c) {year} Somebody.", "# SPDX-License-Identifier: Some")
    return Reference(
        name="segformer",
        task="semantic-segmentation",
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
        checkpoint_filename="segformer_model",
        tao_model="",
        tags={},
        onnx_inputs=("input",),
        onnx_outputs=("output",),
        image_suffixes=(),
        console_scripts={},
        networks=(),
        backbones=(),
        header=header,
        schema_header=header,
    )


def inspection(
    processor: ProcessorFacts = SQUARE, labels: tuple[str, ...] = LABELS, **config: Any
) -> Inspection:
    """Return what phase 1 knows of a small SegFormer."""
    return Inspection(
        source=Source(kind="hub", ref="org/segformer", sha="0" * 40, folder="/nowhere"),
        model_type="segformer",
        architecture="SegformerForSemanticSegmentation",
        task=TaskChoice(task="semantic-segmentation", source="architecture", reason="its class"),
        config={"decoder_hidden_size": 48, "hidden_sizes": [16, 32, 40, 64], **config},
        labels=labels,
        image_size=(64, 64),
        processor=processor,
    )


NATIVE = StrategyChoice(
    strategy="native",
    reason="it is there",
    backbone=BackboneMatch(
        name="",
        target="nvidia_tao_pytorch.cv.backbone_v2.mit:MixTransformer",
        arguments={"depths": [1, 1, 1, 1], "embed_dims": [16, 32, 40, 64]},
        code={"norm_layer": "torch.nn.LayerNorm"},
        head="decoder.linear_pred",
        embed_dim=48,
        widths=(16, 32, 40, 64),
        remap="segformer",
    ),
)

COMPOSE = StrategyChoice(
    strategy="compose",
    reason="it is held",
    held=HeldModel(
        architecture="UperNetForSemanticSegmentation",
        config={"model_type": "upernet", "hidden_size": 16},
        attention="eager",
        body="backbone",
        class_tensors=("decode_head.classifier.bias", "decode_head.classifier.weight"),
    ),
)


def choice(strategy: StrategyChoice = NATIVE) -> ReferenceChoice:
    """Return phase 2's result."""
    return ReferenceChoice(
        reference=segformer(),
        candidates=(Candidate(name="segformer", score=100, reasons=("only one",)),),
        strategy=strategy,
    )
