"""Compares the depth maps of an inference run with what the Hugging Face model makes of the same images.

Request: ``porter.records.runs.DepthPredictionsRequest``; answer: ``DepthPredictionsAnswer``. The model's own
image processor prepares the images, and resizes the depth to their size. A depth map was written as levels
between the least and the greatest depth of its image, which result.csv has.
"""

from __future__ import annotations

import csv
import inspect
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

ROUND = 65535


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Send every image through the model, and look at the files of the run."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy
    import torch
    import transformers
    from PIL import Image

    from porter.weights.kernel.compare import Difference

    torch.set_grad_enabled(False)
    folder, results = Path(request["folder"]), Path(request["results"])
    kind = getattr(transformers, request["architecture"])
    model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, use_fast=False, local_files_only=True)
    # One that pads images has to know how large they were, and makes depth maps of that size.
    named = inspect.signature(processor.post_process_depth_estimation).parameters
    sizes = "source_sizes" if "source_sizes" in named else "target_sizes"
    rows = read_rows(results / "result.csv")
    problems: list[str] = []
    maps, numbers = Difference(), Difference()
    spread = 0.0
    common = os.path.commonpath([str(Path(name).parent) for name in request["images"]])
    for name in request["images"]:
        path = Path(name)
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        outputs = model(**processor(image, return_tensors="pt"))
        size = [(image.height, image.width)]
        made = processor.post_process_depth_estimation(outputs, **{sizes: size})
        wanted = made[0]["predicted_depth"].double()
        place = path.relative_to(common).with_suffix(".png")
        level, preview = (results / where / place for where in ("depth", "depth_colour"))
        if name not in rows or not level.is_file() or not preview.is_file():
            problems.append(f"{path.name} has no row, no depth map or no preview")
            break
        with Image.open(level) as opened:
            levels = torch.from_numpy(numpy.asarray(opened).astype(numpy.float64))
        with Image.open(preview) as opened:
            if (opened.mode, opened.size) != ("RGB", image.size):
                problems.append(f"the preview of {path.name} is {opened.mode}, {opened.size}")
        if levels.shape != wanted.shape:
            said = f"{tuple(levels.shape)}, not {tuple(wanted.shape)}"
            problems.append(f"the depth map of {path.name} is {said}")
            break
        lowest, highest, mean = rows[name]
        level_size = (highest - lowest) / ROUND
        apart = lowest + levels * level_size - wanted
        # Half a level is what rounding to levels may make of the model's own number.
        beyond = apart.sign() * (apart.abs() - 0.5 * level_size).clamp(min=0)
        maps.add(wanted, wanted + beyond)
        stated = torch.tensor([lowest, highest, mean], dtype=torch.float64)
        numbers.add(torch.stack([wanted.min(), wanted.max(), wanted.mean()]), stated)
        spread = max(spread, float((wanted.max() - wanted.min()) / wanted.abs().max().clamp(min=1e-12)))
    return {
        "images": len(request["images"]),
        "relative": maps.relative,
        "max_abs": maps.max_abs,
        "numbers": numbers.relative,
        "spread": spread,
        "problems": problems,
    }


def read_rows(path: Path) -> dict[str, list[float]]:
    """Return least, greatest and mean depth by the path of the image."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return {row[0]: [float(value) for value in row[1:]] for row in rows}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
