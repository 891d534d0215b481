"""Compares the masks of an inference run with what the Hugging Face model makes of the same images.

Request: ``porter.records.runs.MaskPredictionsRequest``; answer: ``MaskPredictionsAnswer``. The model's own
image processor prepares the images, and makes masks of their size of the scores.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Send every image through the model, and look at the files of the run."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy
    import torch
    import transformers
    from PIL import Image

    torch.set_grad_enabled(False)
    folder, results = Path(request["folder"]), Path(request["results"])
    kind = getattr(transformers, request["architecture"])
    model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, use_fast=False, local_files_only=True)
    rows = read_rows(results / "result.csv")
    problems: list[str] = []
    equal = pixels = 0
    seen: set[int] = set()
    paths = sorted(Path(request["images"]).iterdir())
    for path in paths:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        outputs = model(**processor(image, return_tensors="pt"))
        size = [(image.height, image.width)]
        wanted = processor.post_process_semantic_segmentation(outputs, target_sizes=size)[0].numpy()
        seen |= {int(each) for each in numpy.unique(wanted)}
        for where in ("mask_labels", "vis_overlay"):
            if not (results / where / f"{path.stem}.png").is_file():
                problems.append(f"{where} has no {path.stem}.png")
        if problems:
            break
        with Image.open(results / "mask_labels" / f"{path.stem}.png") as opened:
            found = numpy.asarray(opened)
        if found.shape != wanted.shape:
            problems.append(f"the mask of {path.name} is {found.shape}, the image {wanted.shape}")
            break
        equal += int((found == wanted).sum())
        pixels += wanted.size
        areas = [int((found == number).sum()) for number in range(model.config.num_labels)]
        if rows.get(path.name) != areas:
            problems.append(f"result.csv has not the areas of {path.name}")
    return {
        "images": len(paths),
        "pixels": pixels,
        "equal": equal / max(pixels, 1),
        "classes": len(seen),
        "problems": problems,
    }


def read_rows(path: Path) -> dict[str, list[int]]:
    """Return the areas by the file name of the image."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return {Path(row[0]).name: [int(area) for area in row[1:]] for row in rows}


if __name__ == "__main__":
    from porter.weights.kernel.serve import serve

    sys.exit(serve(run))
