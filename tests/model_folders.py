"""Model folders for tests that need no torch: configs, cards and weights of zeros."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.safetensors_files import build

VIT_CONFIG: dict[str, Any] = {
    "architectures": ["ViTForImageClassification"],
    "hidden_size": 32,
    "id2label": {"2": "fox", "0": "cat", "1": "dog"},
    "image_size": 32,
    "model_type": "vit",
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 16,
    "transformers_version": "4.57.6",
}
VIT_PROCESSOR: dict[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": 32, "width": 32},
}
WEIGHTS = build({"classifier.weight": ("F32", (3, 32)), "classifier.bias": ("F32", (3,))})


def write_model(
    folder: Path,
    config: Any = VIT_CONFIG,
    processor: Any = VIT_PROCESSOR,
    *,
    files: dict[str, bytes] | None = None,
    **changes: Any,
) -> Path:
    """Write a model folder.

    Args:
        folder: made here.
        config: content of config.json; bytes are written as they are, None writes none.
        processor: likewise for preprocessor_config.json.
        files: further files by name; by default the weights.
        changes: keys of *config* to set; None takes a key away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if changes:
        config = {key: value for key, value in {**config, **changes}.items() if value is not None}
    for name, content in (("config.json", config), ("preprocessor_config.json", processor)):
        if content is not None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(raw)
    for name, data in ({"model.safetensors": WEIGHTS} if files is None else files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
