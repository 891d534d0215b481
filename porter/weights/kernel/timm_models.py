"""What a timm model says of itself: its heads, its stages, its feature maps.

transformers' classes for timm hold the model as one module, in which the general ways to look at a
model see nothing.
"""

from __future__ import annotations

from typing import Any

import torch

ATTRIBUTE = "timm_model"
"""What transformers, and generated code, call the timm model that they hold."""

_MOST = 0.75
"""Share of a body's parameters from which one container of layers is the body, and its layers the stages."""


def held(model: Any) -> Any | None:
    """Return the timm model that a model of transformers holds; None where it holds none."""
    found = getattr(model, ATTRIBUTE, None)
    return found if isinstance(found, torch.nn.Module) else None


def head(model: Any, count: int) -> dict[str, Any] | None:
    """Return the head facts (``HeadFacts``) of a model that holds a timm model; paths start at *model*.

    A head is the last linear layer (1x1 convolutions count) with *count* outputs in each classifier that
    timm names.
    """
    inner = held(model)
    assert inner is not None
    paths = {id(module): name for name, module in inner.named_modules()}
    layers = []
    for part in _classifiers(inner):
        rows = [each for each in part.modules() if _outputs(each) == count and id(each) in paths]
        layers += rows[-1:]
    if not layers:
        return None
    names = [f"{ATTRIBUTE}.{paths[id(layer)]}" for layer in layers]
    tensors = sorted(
        f"{name}.{key}" for name, layer in zip(names, layers, strict=True) for key in layer.state_dict()
    )
    return {
        "prefix": " + ".join(names),
        "tensors": tensors,
        "separable": True,
        "reason": "",
        "linear": names[0],
        "in_features": _inputs(layers[0]),
        "others": names[1:],
    }


def stages(model: Any) -> list[str]:
    """Return the paths of the modules that can be frozen in turn, from the input to the head.

    They are the children of the timm model, or, where one of them is a container with most of the weights,
    those before it and what it contains.
    """
    inner = held(model)
    assert inner is not None
    heads = {id(each) for part in _classifiers(inner) for each in part.modules()}
    children = [
        (name, child)
        for name, child in inner.named_children()
        if not {id(each) for each in child.modules()} & heads and any(True for _ in child.parameters())
    ]
    whole = sum(each.numel() for _, child in children for each in child.parameters())
    found: list[str] = []
    for name, child in children:
        parts = [part for part, inside in child.named_children() if any(True for _ in inside.parameters())]
        size = sum(each.numel() for each in child.parameters())
        contains = isinstance(child, torch.nn.ModuleList | torch.nn.Sequential)
        if contains and len(parts) > 1 and size >= _MOST * whole:
            found += [f"{name}.{part}" for part in parts]
        else:
            found.append(name)
    return [f"{ATTRIBUTE}.{name}" for name in found]


def maps(model: Any, pixel_values: torch.Tensor) -> str:
    """Return the method of timm that gives feature maps (B, C, H, W); empty where the model has none."""
    inner = held(model)
    try:
        found = inner.forward_intermediates(  # type: ignore[union-attr]
            pixel_values, output_fmt="NCHW", intermediates_only=True
        )
    except Exception:
        return ""
    fine = found and all(isinstance(each, torch.Tensor) and each.ndim == 4 for each in found)
    return "forward_intermediates" if fine else ""


def _classifiers(inner: Any) -> list[torch.nn.Module]:
    """Return the modules that timm's table of the architecture names as classifiers, or its method does."""
    stated = getattr(inner, "pretrained_cfg", {}).get("classifier") or ()
    names = (stated,) if isinstance(stated, str) else stated
    there = dict(inner.named_modules())
    named = [there[name] for name in names if name in there]
    if named:
        return named
    try:
        found = inner.get_classifier()
    except Exception:
        return []
    parts = found if isinstance(found, tuple | list) else (found,)
    return [each for each in parts if isinstance(each, torch.nn.Module)]


def _outputs(layer: torch.nn.Module) -> int:
    if isinstance(layer, torch.nn.Linear):
        return int(layer.out_features)
    if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (1, 1):
        return int(layer.out_channels)
    return 0


def _inputs(layer: torch.nn.Module) -> int:
    return int(getattr(layer, "in_features", 0) or getattr(layer, "in_channels", 0))
