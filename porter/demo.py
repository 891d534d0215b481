"""Makes a model folder with perturbed random weights, for demos and tests. Nothing is downloaded."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LABELS = (
    "bear",
    "bird",
    "boat",
    "bus",
    "cat",
    "chair",
    "dog",
    "horse",
    "sheep",
    "train",
)
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def make_model(
    folder: Path,
    *,
    architecture: str = "ViTForImageClassification",
    config: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] = PROCESSOR,
    labels: Sequence[str] = LABELS,
    environment: str = "tao-pytorch-7.0.1",
) -> Path:
    """Write a model folder; does nothing where it is complete.

    Args:
        folder: made where it is missing.
        architecture: model class of transformers.
        config: arguments of the model's config; None takes the defaults: a ViT-Base/16.
        processor: content of ``preprocessor_config.json``.
        labels: label by index.
        environment: requirement set whose transformers builds the model.

    Returns:
        the folder.
    """
    from porter.records.probes import MadeModel, MakeModel
    from porter.records.sandbox import Mount
    from porter.sandbox import environments
    from porter.sandbox.base import run_probe
    from porter.sandbox.host import HostSandbox
    from porter.ui import Ui

    folder = folder.absolute()
    if (folder / "model.safetensors").exists():
        return folder
    ui = Ui()
    built = environments.find(environment)
    if built is None:
        with ui.working(f"building the environment {environment} (once per machine)"):
            built = environments.ensure(environment, progress=ui.progress)
    work = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    (work / "out").mkdir(parents=True)
    request = MakeModel(
        folder=str(work / "out" / "model"),
        architecture=architecture,
        config=dict(config or {}),
        processor=dict(processor),
        labels=tuple(labels),
        seed=2026,
    )
    mounts = (Mount(path=str(work / "out"), writable=True),)
    with ui.working(f"making {folder.name} with perturbed random weights"):
        run_probe(HostSandbox(built, work / "runs"), "make_demo_model", request, MadeModel, mounts=mounts)
    (work / "out" / "model").rename(folder)
    shutil.rmtree(work)
    return folder


if __name__ == "__main__":
    print(make_model(Path(sys.argv[1])))
