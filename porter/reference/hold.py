"""What a backbone that holds the transformers model is built from, and whether it can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from porter import timm_configs
from porter.records.base import Record
from porter.records.inspection import HeadFacts, Inspection, ModelProbe
from porter.records.reference import HeldModel, Reference
from porter.records.transplant import Lifting

_UNUSED = frozenset(
    {
        # How a file was saved, not what the model is.
        "auto_map",
        "dtype",
        "torch_dtype",
        "transformers_version",
        # The experiment spec and classes.txt say these.
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        # The generated class reads `.logits` and asks for hidden states itself.
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torchscript",
        "use_return_dict",
    }
)
_ANSWERS = {"logits", "predicted_depth"}
"""Outputs that are, but for their size, what a model is for."""


class Holding(Record, frozen=True, kw_only=True):
    """The model to hold, or the reasons why it cannot be held."""

    model: HeldModel | None = None
    reasons: tuple[str, ...] = ()


def holding(inspection: Inspection, reference: Reference, lifting: Lifting | None = None) -> Holding:
    """Return how a generated backbone holds the model; pure.

    Args:
        inspection: phase 1's result with what the sandbox saw.
        reference: the network that the backbone is for.
        lifting: where the model comes from if not from transformers at run time.
    """
    probe = inspection.probe
    if probe is None:
        return Holding(reasons=("the model was not looked at in the sandbox yet",))
    reasons = []
    if inspection.model_type == timm_configs.MODEL_TYPE:
        reasons.append("the class of transformers is itself no more than a hold on a timm model")
    dense = reference.task != "image-classification"
    head = probe.head
    if dense and not probe.body:
        reasons.append("its weights lie in no module of its own")
    elif dense and not probe.queries and not _ANSWERS & set(probe.output_shapes):
        names = ", ".join(probe.output_shapes)
        reasons.append(f"porter does not know what an image processor makes of {names}")
    elif dense:
        pass
    elif head is None or not head.linear:
        reasons.append("no linear layer makes the logits, so its head cannot be replaced")
    elif _uneven(head, probe):
        reasons.append(f"its heads {head.linear} and {', '.join(head.others)} are of different widths")
    if not dense and not probe.stages:
        reasons.append("body and head are one module, so that neither can be frozen without the other")
    attention = lifting.attention if lifting else exported_attention(probe)
    if not attention:
        reasons.append("no export of the model to ONNX worked")
    if lifting is not None and lifting.lifted is not None:
        config = with_attention(lifting.lifted.config, attention)
    else:
        config = composed_config(inspection)
    odd = sorted(key for key, value in config.items() if not _is_literal(value))
    if odd:
        reasons.append(f"{', '.join(odd)} of config.json cannot be written as Python")
    if reasons:
        return Holding(reasons=tuple(reasons))
    batch_norms = any(tensor.name.endswith(".running_mean") for tensor in probe.state)
    if dense or head is None:
        model = HeldModel(
            architecture=inspection.architecture,
            config=config,
            attention=attention,
            body=probe.body,
            class_tensors=probe.class_tensors,
            batch_norms=batch_norms,
            interpolates=probe.interpolates,
            queries=probe.queries,
        )
        return Holding(model=model)
    return Holding(
        model=HeldModel(
            architecture=inspection.architecture,
            config=config,
            attention=attention,
            heads=(head.linear, *head.others),
            embed_dim=head.in_features,
            head_bias=f"{head.linear}.bias" in head.tensors,
            combined=head.combined,
            stages=probe.stages,
            maps=probe.maps,
            interpolates=probe.interpolates,
            batch_norms=batch_norms,
        )
    )


def _uneven(head: HeadFacts, probe: ModelProbe) -> bool:
    """Return whether the layers of a head differ in what they are given, or in having a bias."""
    shapes = {tensor.name: tensor.shape for tensor in probe.state}
    layers = (head.linear, *head.others)
    widths = {shapes.get(f"{layer}.weight", ())[1:] for layer in layers}
    return len(widths) > 1 or len({f"{layer}.bias" in shapes for layer in layers}) > 1


def exported_attention(probe: ModelProbe) -> str:
    """Return the attention implementation with which TAO's exporter wrote the model; empty for none."""
    worked = (attempt for attempt in probe.exports if attempt.ok and attempt.exporter == "legacy")
    return next((attempt.attention for attempt in worked), "")


def composed_config(inspection: Inspection) -> dict[str, Any]:
    """Return what AutoConfig needs to make the model's config."""
    config = {
        key: value
        for key, value in inspection.config.items()
        if key not in _UNUSED and not key.startswith("_") and value is not None
    }
    return {**config, "architectures": [inspection.architecture], "model_type": inspection.model_type}


def with_attention(config: Mapping[str, Any], attention: str) -> dict[str, Any]:
    """Return the settings of a lifted file with the attention implementation, in every part of them."""
    return {
        key: attention
        if key == "_attn_implementation"
        else with_attention(value, attention)
        if key.endswith("_config") and isinstance(value, dict)
        else value
        for key, value in config.items()
    }


def _is_literal(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_literal(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_literal(item) for item in value)
    return (
        value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    )
