"""A virtual environment with the real TAO that takes this machine's CPU for its GPU, and data for it.

Nothing of TAO is changed or copied: an import hook takes the place of what asks for a GPU, in the job alone.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from porter.records.sandbox import Environment
from porter.resources import tree

STAND_INS = tree("containers") / "tao-pytorch-7.0.1" / "stand-ins"

_ON_CPU = '''\
"""What asks for a GPU gets the CPU; each module is seen to when it has just been imported."""

import importlib.abc
import importlib.machinery
import sys


def torch(module):
    """`.cuda()` and `.to("cuda")` stand in DINO's losses and its denoising whatever the device is."""
    tensor, to = module.Tensor, module.Tensor.to

    def on_cpu(self, *where, **more):
        return to(self, *("cpu" if one == "cuda" else one for one in where), **more)

    tensor.to = on_cpu
    tensor.cuda = lambda self, *where, **more: self
    module.cuda.set_device = lambda device: None


def lightning(module):
    """`accelerator` is `gpu`, `devices` a list, and some scripts have 16-mixed, which no CPU can do."""
    init = module.Trainer.__init__

    def on_cpu(self, *args, **options):
        if options.get("accelerator") == "gpu":
            options.update(accelerator="cpu", devices=1)
        if options.get("precision") == "16-mixed":
            options["precision"] = "32-true"
        init(self, *args, **{**options, "enable_progress_bar": False})
        # Inference of MAL compares the device's number, and the CPU has none unless it is said.
        import torch

        self.strategy._root_device = torch.device("cpu", 0)

    module.Trainer.__init__ = on_cpu


def operator(module):
    """The compiled operator is in no clone; on a CPU the network takes its own way in plain torch."""
    module.load_ops = lambda folder, name: None


CHANGES = {
    "torch": torch,
    "pytorch_lightning": lightning,
    "nvidia_tao_pytorch.cv.deformable_detr.model.ops.functions": operator,
}


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                CHANGES[name](module)

            spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
'''

_SCRIPT = """\
#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def cpu_venv(folder: Path, environment: Environment, clone: Path, scripts: dict[str, str]) -> Path:
    """Make the virtual environment; return its folder.

    Args:
        folder: of the environment; it may not exist yet.
        environment: whose packages it has.
        clone: of tao-pytorch, which is imported from where it lies.
        scripts: by name, what each console script calls, as ``module:function``.
    """
    subprocess.run([environment.python, "-m", "venv", "--without-pip", folder], check=True)
    inside = next(folder.glob("lib/python*/site-packages"))
    (inside / "sitecustomize.py").write_text(_ON_CPU)
    theirs = next(Path(environment.prefix).glob("lib/python*/site-packages"))
    (inside / "tao.pth").write_text("".join(f"{path}\n" for path in (STAND_INS, clone, theirs)))
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        python = folder / "bin" / "python"
        (folder / "bin" / name).write_text(_SCRIPT.format(python=python, module=module, function=function))
        (folder / "bin" / name).chmod(0o755)
    return folder


def shapes(folder: Path, *, images: int, size: int, ids: tuple[int, int] = (1, 4)) -> Path:
    """Write a COCO dataset of drawn shapes, two an image; one has a polygon as its mask, the other an RLE.

    Args:
        folder: it may not exist yet.
        images: how many.
        size: of each, in pixels.
        ids: of the two categories.
    """
    (folder / "images").mkdir(parents=True)
    document: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": one, "name": f"c{one}"} for one in ids],
    }
    edge = size // 2 - 8
    for number in range(images):
        name = f"{number}.png" if number % 2 else f"{number}.jpg"
        picture = Image.new("RGB", (size, size), (40 * (number % 5), 80, 120))
        draw = ImageDraw.Draw(picture)
        left = 2 + number % 4
        tip = [left, left + edge, left + edge, left + edge, left + edge // 2, left]
        draw.polygon(tip, fill=(250, 20, 20))
        right = size // 2 + 2
        draw.rectangle((right, right, right + edge - 1, right + edge - 1), fill=(20, 250, 20))
        picture.save(folder / "images" / name)
        document["images"].append({"id": number, "file_name": name, "width": size, "height": size})
        # As COCO counts pixels, column by column: what is left out, and what is in, in turn.
        runs = [right * size + right, *(edge, size - edge) * (edge - 1), edge]
        runs.append(size * size - sum(runs))
        for order, (at, mask) in enumerate(((left, [tip]), (right, {"size": [size, size], "counts": runs}))):
            document["annotations"].append(
                {
                    "id": 2 * number + order + 1,
                    "image_id": number,
                    "category_id": ids[order],
                    "bbox": [at, at, edge, edge],
                    "area": edge * edge,
                    "iscrowd": 0,
                    "segmentation": mask,
                }
            )
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder
