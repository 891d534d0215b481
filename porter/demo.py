"""Makes the demo's model: a ViT-Base/16 folder with perturbed random weights. Nothing is downloaded."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

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
PROCESSOR = {
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


def make_model(folder: Path, *, environment: str = "tao-pytorch-7.0.1") -> Path:
    """Write the demo's model folder; does nothing where it is complete.

    Args:
        folder: made where it is missing.
        environment: requirement set whose transformers builds the model.

    Returns:
        the folder.
    """
    from porter.records.probes import MadeModel, MakeModel
    from porter.records.sandbox import Limits, Mount
    from porter.sandbox import environments
    from porter.sandbox.base import run_probe
    from porter.sandbox.host import HostSandbox
    from porter.ui import Ui

    if (folder / "model.safetensors").exists():
        return folder
    ui = Ui()
    with ui.working(f"building the environment {environment} (once per machine)"):
        built = environments.ensure(environment, progress=ui.progress)
    work = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    request = MakeModel(
        folder=str((work / "model").absolute()), processor=PROCESSOR, labels=LABELS, seed=2026
    )
    sandbox = HostSandbox(built, work / "runs")
    mounts = (Mount(path=str(work.absolute()), writable=True),)
    with ui.working("making a ViT-Base/16 with perturbed random weights"):
        run_probe(sandbox, "make_demo_model", request, MadeModel, mounts=mounts, limits=Limits())
    (work / "model").rename(folder)
    shutil.rmtree(work)
    return folder


if __name__ == "__main__":
    print(make_model(Path(sys.argv[1])))
