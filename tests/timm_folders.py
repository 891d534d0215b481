"""Folders of timm checkpoints: as a hub repository of timm has them, and as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from porter.records.probes import MakeModel
from tests.safetensors_files import build

LABELS = ("moth", "ant", "bee")
PRETRAINED: dict[str, Any] = {
    "crop_mode": "center",
    "crop_pct": 0.9,
    "fixed_input_size": False,
    "input_size": [3, 64, 64],
    "interpolation": "bicubic",
    "mean": [0.48, 0.46, 0.41],
    "num_classes": 3,
    "std": [0.27, 0.26, 0.28],
    "tag": "a1_in1k",
}
HUB: dict[str, Any] = {
    "architecture": "resnet18",
    "num_classes": 3,
    "num_features": 512,
    "label_names": list(LABELS),
    "pretrained_cfg": PRETRAINED,
}
"""``config.json`` as timm writes it."""

SAVED: dict[str, Any] = HUB | {
    "architectures": ["TimmWrapperForImageClassification"],
    "do_pooling": True,
    "initializer_range": 0.02,
    "model_args": None,
    "model_type": "timm_wrapper",
    "transformers_version": "4.57.6",
}
"""``config.json`` as transformers writes it."""

WEIGHTS = build({"fc.weight": ("F32", (3, 512)), "fc.bias": ("F32", (3,))})


def write_timm(
    folder: Path, config: dict[str, Any] = HUB, *, pretrained: dict[str, Any] | None = None, **changes: Any
) -> Path:
    """Write a timm folder with weights of zeros.

    Args:
        folder: made here.
        config: content of config.json.
        pretrained: keys to set in its pretrained_cfg; None takes a key away.
        changes: keys of *config* to set, likewise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = {key: value for key, value in {**config, **changes}.items() if value is not None}
    if pretrained is not None:
        inner = {**PRETRAINED, **pretrained}
        changed["pretrained_cfg"] = {key: value for key, value in inner.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def request(
    folder: Path,
    architecture: str,
    *,
    arguments: dict[str, Any] | None = None,
    labels: tuple[str, ...] = LABELS,
    as_timm: bool = True,
    **pretrained: Any,
) -> MakeModel:
    """Return the request that makes a timm model with perturbed random weights.

    Args:
        folder: made by the probe.
        architecture: name that timm knows.
        arguments: what else it is built with.
        labels: label by index.
        as_timm: whether the folder is as a hub repository of timm, or as transformers saves it.
        pretrained: keys of its pretrained_cfg to set.
    """
    config = {"architecture": architecture, "pretrained_cfg": {**PRETRAINED, **pretrained}}
    return MakeModel(
        folder=str(folder),
        architecture="TimmWrapperForImageClassification",
        config={**config, "model_args": arguments} if arguments else config,
        labels=labels,
        as_timm=as_timm,
    )
